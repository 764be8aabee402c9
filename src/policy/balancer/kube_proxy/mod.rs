//! kube-proxy's ways to balance connections to a Kubernetes Service: by packet filter rules, or by the kernel's IPVS.

pub mod iptables;
pub mod ipvs_lc;
pub mod ipvs_nq;
pub mod ipvs_rr;
pub mod ipvs_sed;
pub mod ipvs_sh;
pub mod ipvs_wlc;
pub mod ipvs_wrr;
pub mod nftables;
