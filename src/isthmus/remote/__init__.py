"""Files elsewhere: in a bucket, at a web address, on a hub."""
