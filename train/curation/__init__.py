"""The paper's data curation (Section III): from a folder of videos to the manifests that `train` reads.

Annotate first, select later: every stage writes scores and drops nothing, so that a threshold changes without a video
decoded again. A stage is pure and picklable; the engine runs the same stages in this process, in a pool of them, or on a
Ray cluster, shard by shard.
"""
