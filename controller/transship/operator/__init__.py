"""The operator: from watch events to reconciles, and nothing else.

kopf is used as a source of events only. Handlers put what they saw into `known` and a key on a queue; worker threads
take keys and run the reconcilers. Nothing in this package decides what is promoted: that is `promotion`. This is the
only package with asyncio in it, and the only one that knows kopf.

    kopf handlers (events)  ->  known + queue  ->  reconcilers (workloads, hooks, requests, policies)  ->  ports.Cluster
"""
