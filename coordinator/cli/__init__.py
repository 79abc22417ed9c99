"""The command line `osbench`: options in, text out; what is done stands in the services beside this package."""
