package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// RunConfig is one client's work: commands, one after the other or several at a time, as a script would run them.
type RunConfig struct {
	Commands    [][]string `json:"commands"`
	Parallel    int        `json:"parallel"`
	Environment []string   `json:"environment"`
	Directory   string     `json:"directory"`
	Seconds     float64    `json:"seconds"` // for all of it
}

// RunResult is what it took. Memory is that of the largest process, as the kernel counts it: this program's own few
// megabytes are its floor, because a child begins as its parent. That is why the benchmark, which is larger, does not
// start clients itself.
type RunResult struct {
	Wall    float64 `json:"wall"`
	CPU     float64 `json:"cpu"` // user and system seconds of all processes
	Memory  int64   `json:"memory"`
	Failure string  `json:"failure"` // of the first command that failed; empty: none did
}

const tailBytes = 600

func run() error {
	var config RunConfig
	if err := readInput(&config); err != nil {
		return err
	}
	runner := &runner{config: config, deadline: time.Now().Add(time.Duration(config.Seconds * float64(time.Second)))}
	began := time.Now()
	var all sync.WaitGroup
	for range max(1, config.Parallel) {
		all.Go(runner.work)
	}
	all.Wait()
	runner.result.Wall = time.Since(began).Seconds()
	return writeOutput(runner.result)
}

type runner struct {
	config   RunConfig
	deadline time.Time

	mutex  sync.Mutex
	next   int
	result RunResult
}

// work runs commands until none is left or one has failed.
func (r *runner) work() {
	runtime.LockOSThread() // a child gets its signal when the thread that started it ends
	for {
		r.mutex.Lock()
		index := r.next
		r.next++
		stop := index >= len(r.config.Commands) || r.result.Failure != ""
		r.mutex.Unlock()
		if stop {
			return
		}
		r.add(r.one(r.config.Commands[index]))
	}
}

// one runs a command; its group is killed when the time is over.
func (r *runner) one(arguments []string) (*os.ProcessState, string) {
	output := &tail{}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Env, command.Dir = r.config.Environment, r.config.Directory
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		return nil, err.Error()
	}
	timer := time.AfterFunc(time.Until(r.deadline), func() { syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	err := command.Wait()
	if !timer.Stop() {
		err = errors.Join(fmt.Errorf("not done after %.0f s", r.config.Seconds), err)
	}
	if err != nil {
		return command.ProcessState, strings.TrimSpace(err.Error() + ": " + output.String())
	}
	return command.ProcessState, ""
}

func (r *runner) add(state *os.ProcessState, failure string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.result.Failure == "" {
		r.result.Failure = failure
	}
	if state == nil {
		return
	}
	usage := state.SysUsage().(*syscall.Rusage)
	r.result.CPU += (state.UserTime() + state.SystemTime()).Seconds()
	r.result.Memory = max(r.result.Memory, usage.Maxrss*1024)
}

// tail keeps the end of what a command says.
type tail struct {
	mutex sync.Mutex
	end   []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.end = append(t.end, data...)
	t.end = t.end[max(0, len(t.end)-tailBytes):]
	return len(data), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.end)
}
