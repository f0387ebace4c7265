// The official Go SDK at what the Lua programs do:
//
//	peer exec API_URL N                 one command after the other
//	peer flight API_URL N CONNECTIONS   N at once, after as many that open connections
//	peer script API_URL                 the smallest useful program
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/daytonaio/daytona/libs/sdk-go/pkg/daytona"
	"github.com/daytonaio/daytona/libs/sdk-go/pkg/types"
)

var background = context.Background()

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func number(i int) int { return must(strconv.Atoi(os.Args[i])) }

func command(sandbox *daytona.Sandbox) {
	if must(sandbox.Process.ExecuteCommand(background, "uname -a")).ExitCode != 0 {
		panic("it failed")
	}
}

// CPU time of this process, in seconds.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func measured(n int, run func()) {
	run()
	wall, spent := time.Now(), cpu()
	run()
	fmt.Printf(`{"cpu":%.6f,"wall":%.6f,"n":%d}`+"\n", cpu()-spent, time.Since(wall).Seconds(), n)
}

func main() {
	client := must(daytona.NewClientWithConfig(&types.DaytonaConfig{APIKey: "bench", APIUrl: os.Args[2], Target: "local"}))
	switch os.Args[1] {
	case "exec":
		n, sandbox := number(3), must(client.Get(background, "bench"))
		measured(n, func() {
			for range n {
				command(sandbox)
			}
		})
	case "flight":
		n, sandbox := number(3), must(client.Get(background, "bench"))
		transport := http.DefaultTransport.(*http.Transport) // which the SDK uses
		transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = number(4), number(4)
		measured(n, func() {
			var all sync.WaitGroup
			for range n {
				all.Go(func() { command(sandbox) })
			}
			all.Wait()
		})
	case "script":
		sandbox := must(client.Create(background, types.SnapshotParams{}))
		command(sandbox)
		if err := sandbox.Delete(background); err != nil {
			panic(err)
		}
	}
}
