package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin"
)

// The simulator's pace: enough at once that something is to be seen, then as a
// small team would have it.
const (
	burstOver = 5 * time.Second
	callEvery = 10 * time.Second
)

// samples makes the three webhooks that a newcomer finds, once, and returns the
// secret that the sample receiver verifies with.
func (p *process) samples(ctx context.Context, deps admin.Deps) ([][]byte, error) {
	text, err := p.receiverSecret()
	if err != nil {
		return nil, err
	}
	raw, err := webhook.ParseSecret(text)
	if err != nil {
		return nil, fmt.Errorf("reading the sample receiver's secret: %w", err)
	}
	base := "http://" + p.receiver.Addr().String()
	for _, s := range []admin.Sample{
		{Name: "Sample: always answers", Endpoint: base + "/ok",
			Events:      []string{topic.TypeIvr, topic.TypeQueue, topic.TypeAgent, topic.TypeRecording, topic.TypeTest},
			Description: "A receiver that takes everything."},
		{Name: "Sample: fails once", Endpoint: base + "/flaky", Events: []string{topic.TypeQueue},
			Description: "Answers 503 the first time and asks for a second's patience; the retry after 5 s is taken."},
		{Name: "Sample: never works", Endpoint: base + "/broken", Events: []string{topic.TypeAgent}, Schedule: webhook.ScheduleOnce,
			Description: "Answers 500; its schedule allows one attempt, then the delivery is given up."},
	} {
		s.SigningSecret = text
		if _, err := admin.EnsureSubscription(ctx, deps, s); err != nil {
			return nil, err
		}
	}
	return [][]byte{raw}, nil
}

func (p *process) receiverSecret() (string, error) {
	path := filepath.Join(p.o.Data, "receiver.secret")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(webhook.NewSecret(rand.Reader) + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keeping the sample receiver's secret: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
