"""Files that lie elsewhere: in a bucket, behind a web address, on a hub."""
