"""Runs tools as Jobs of a Kubernetes cluster, each in the tool's own image; the coordinator stays outside and waits.

runner ──┬──► images       which image of a registry a tool is, by digest
         ├──► manifests    a Job as Kubernetes reads it
         │      └──► volumes    which folders here are which volume claims there
         ├──► cluster      the API server: asked until it answers
         ├──► ends         what the state of a Job and its pods means
         └──► output       the pod's output, appended to the step's log
settings     what the site's profile says, and how long steps take, as a run folder keeps them
"""
