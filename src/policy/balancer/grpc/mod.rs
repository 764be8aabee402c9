//! gRPC's balancers, as grpc-go has them: one connection for each endpoint, and only connected ones are picked.
