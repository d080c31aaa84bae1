"""How fast Transship copies images, beside crane, regctl and skopeo, in one interleaved run.

    make bench          all scenarios in their real size; writes docs/performance.md
    make bench-quick    two minutes: checks correctness, prints ratios

What is measured and what is not claimed is in benchmarks/README.md. In here: `scenarios` (the table of issue and bars,
as data), `content` (the images), `namespace` (a network of our own), `world` (the registries as a process),
`contenders` (who copies, with which commands), `rounds` (the run), `verification` (is it there, exactly?), `report`.
"""
