"""A Ceph S3 gateway of the tests' own."""
