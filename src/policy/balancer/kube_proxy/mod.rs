//! kube-proxy: who a new connection goes to. Requests on an open connection stay with its endpoint.
