// Delayline is what the benchmark of copying runs against, and what it measures with.
//
//	delayline serve    two registries and a blob host, as far away as the configuration says
//	delayline ceiling  a bare download and upload, to show that the servers are not what is measured
//	delayline run      runs a client, or many, and reports their time, processor time and memory
//
// Each reads one JSON document, from a file or its standard input, and writes one line of JSON to its standard output. The
// benchmark that uses it is benchmarks/copying; nothing that is shipped does.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func() error{"serve": serve, "ceiling": ceiling, "run": run}
	if len(os.Args) < 2 || len(os.Args) > 3 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: delayline serve|ceiling|run [configuration.json]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, "delayline:", err)
		os.Exit(1)
	}
}

func readInput(into any) error {
	input := os.Stdin
	if len(os.Args) == 3 {
		file, err := os.Open(os.Args[2])
		if err != nil {
			return err
		}
		defer file.Close()
		input = file
	}
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func writeOutput(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
