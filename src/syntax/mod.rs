//! Parsers: bytes in, typed lines with their numbers out. Pure, and using nothing else of the crate.
//!
//! Each is exactly as lenient as the program that reads the file in earnest, and none ever panics: what it cannot read it says.
//! Lines and columns count from 1. What values *mean* (precedence, defaults, includes) is the business of [`facts`](crate::facts).

pub mod acl;
pub mod aide;
pub mod apk;
pub mod apparmor;
pub mod apt_conf;
pub mod apt_sources;
pub mod audit_rules;
pub mod auditd_conf;
pub mod capability;
pub mod chrony;
pub mod crontab;
pub mod crypto_policy;
pub mod dnf_conf;
pub mod dpkg;
pub mod environment_file;
pub mod exim;
pub mod firewalld;
pub mod fstab;
pub mod group;
pub mod grub;
pub mod grub_menu;
pub mod gvdb;
pub mod iptables;
pub mod key_file;
pub mod key_value;
pub mod limits;
pub mod login_defs;
pub mod logrotate;
pub mod modprobe;
pub mod nftables;
pub mod nsswitch;
pub mod os_release;
pub mod packet_rule;
pub mod pam;
pub mod pam_env;
pub mod passwd;
pub mod postfix;
pub mod preset;
pub mod proc_net;
pub mod rpm_header;
pub mod rpmdb;
pub mod rsyslog;
pub mod secrets;
pub mod shadow;
pub mod shell;
pub mod shell_assignments;
pub mod sshd_config;
pub mod sudoers;
pub mod sysctl;
pub mod systemd_unit;
pub mod version;
pub mod wildcard;
pub mod zipl;
