module transship.dev/hack/tools/delayline

go 1.26.0

tool transship.dev/hack/tools/delayline
