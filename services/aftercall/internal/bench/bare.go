package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aftercall/aftercall/pkg/webhook"
)

// bareInFlight is how many requests the ceiling keeps under way.
const bareInFlight = 64

// bare is the ceiling: n signed POSTs with the headers of a delivery, over
// keep-alive connections, and nothing else.
func bare(ctx context.Context, url string, payload []byte, n int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bareInFlight, DisableCompression: true}}
	defer client.CloseIdleConnections()
	secret, err := webhook.ParseSecret(benchSecret)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, bareInFlight)
	for range bareInFlight {
		wg.Go(func() {
			for ctx.Err() == nil && next.Add(1) <= int64(n) {
				if err := bareOne(ctx, client, url, secret, payload); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return fmt.Errorf("posting: %w", err)
	default:
		return ctx.Err()
	}
}

func bareOne(ctx context.Context, client *http.Client, url string, secret, payload []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	m := webhook.Message{
		ID: "evt_bench", EventType: "App.QueueWebhook", DeliveryID: "dlv_bench", Attempt: 1, Cause: "call_ended",
		ContentType: "application/json", Time: time.Now(), Secrets: [][]byte{secret}, Body: payload, Version: "bench",
	}
	for _, h := range m.Headers(nil) {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Body.Close()
}
