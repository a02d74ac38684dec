"""A stand-in for CANN's TensorFlow adapter: what `npu_bridge` does, on the CPU, for tests.

Put the folder above on `sys.path`. Environment:

    FAKE_NPU_RELEASE    which adapter it plays: r1.3, r1.5.1, r1.9, r1.13 or r1.15 (the default)
    FAKE_NPU_RECORD     a file that gets every event as a line of JSON (see `record`)
    FAKE_NPU_OVERFLOW   numbers (from 1) of the overflow checks that find one, such as 1,2
    FAKE_NPU_MEETING    a folder in which the processes of RANK_SIZE > 1 meet (see `hccl.hccl_ops`)

What it plays is what the adapter's sources and manual say; names and signatures are theirs.
"""
