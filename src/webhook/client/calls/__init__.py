"""The requests of all operations of the API, a file a resource."""
