package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// receiver is the process of the endpoints, as the benchmark sees it.
type receiver struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

func startReceiver(ctx context.Context) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, receiverCommand)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the receiver: %w", err)
	}
	return &receiver{cmd: cmd, in: in, lines: bufio.NewReader(out)}, nil
}

func (r *receiver) ask(q question) (answer, error) {
	if err := json.NewEncoder(r.in).Encode(q); err != nil {
		return answer{}, fmt.Errorf("asking the receiver: %w", err)
	}
	line, err := r.lines.ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("asking the receiver: %w", err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("reading the receiver's answer: %w", err)
	}
	if a.Error != "" {
		return answer{}, errors.New("the receiver: " + a.Error)
	}
	return a, nil
}

// open starts endpoints in a group and answers their URLs.
func (r *receiver) open(group string, n int, b behaviour, ids bool) ([]string, error) {
	a, err := r.ask(question{Open: n, Group: group, Behaviour: b, Ids: ids})
	return a.URLs, err
}

// behave changes how a group's endpoints treat requests from now on.
func (r *receiver) behave(group string, b behaviour) error {
	_, err := r.ask(question{Behave: true, Group: group, Behaviour: b})
	return err
}

// forget begins the measurement of ages and peaks anew.
func (r *receiver) forget() error {
	_, err := r.ask(question{Forget: true})
	return err
}

// read answers everything; count is cheaper and answers counts.
func (r *receiver) read() (figures, error) {
	a, err := r.ask(question{})
	return a.Figures, err
}

func (r *receiver) count(group string) (groupFigures, error) {
	a, err := r.ask(question{Count: true})
	return a.Figures.Groups[group], err
}

func (r *receiver) stop() {
	_ = r.in.Close()
	_ = r.cmd.Wait()
}
