"""Admission on demand: a webhook that has pods wait for images their destination lacks.

A process of its own, several replicas, none of them the leader. It looks and answers, and changes nothing in the
cluster but its own certificate: the operator sees the gated pod, promotes, and lifts the gate.

Belongs here: the HTTPS server, what a review is answered with, the certificate. What is decided about a pod is in
`promotion.admission`, because the operator decides by the same.
"""
