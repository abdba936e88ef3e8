"""Any 9P server as a FUSE file system."""
