module transship.dev/hack/tools/checkout

go 1.26.0

tool transship.dev/hack/tools/checkout
