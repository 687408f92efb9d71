//! Tests of the binary: each runs it in a sandbox of its own.

#[cfg(test)]
mod age_keys;
#[cfg(test)]
mod agent_approvals;
#[cfg(test)]
mod agent_aws;
#[cfg(test)]
mod agent_capture;
#[cfg(test)]
mod agent_clients;
#[cfg(test)]
mod agent_injections;
#[cfg(test)]
mod agent_issuers;
#[cfg(test)]
mod agent_leases;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod agent_memory;
#[cfg(test)]
mod agent_reach;
#[cfg(test)]
mod agent_run;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod agent_sandbox;
#[cfg(test)]
mod agent_support;
#[cfg(test)]
mod agent_ways;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_changes;
#[cfg(test)]
mod audit_crash;
#[cfg(test)]
mod audit_running;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod check;
#[cfg(test)]
mod cloud_stores;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod credential;
#[cfg(test)]
mod credential_install;
#[cfg(test)]
mod daemon;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod daemon_logind;
#[cfg(test)]
mod daemon_process;
#[cfg(test)]
mod daemon_renewal;
#[cfg(test)]
mod daemon_support;
#[cfg(test)]
mod daemon_users;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod edit;
#[cfg(test)]
mod env;
#[cfg(test)]
mod established;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod exec_child;
#[cfg(test)]
mod exec_files;
#[cfg(test)]
mod exec_harness;
#[cfg(test)]
mod exec_redact;
#[cfg(test)]
mod exec_renewal;
#[cfg(test)]
mod exec_signals;
#[cfg(test)]
mod exec_ssh;
#[cfg(test)]
mod export_import;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod gateway_approvals;
#[cfg(test)]
mod gateway_aws;
#[cfg(test)]
mod gateway_crash;
#[cfg(test)]
mod gateway_reflection;
#[cfg(test)]
mod gateway_serve;
#[cfg(test)]
mod gateway_support;
#[cfg(test)]
mod help;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod import_others;
#[cfg(test)]
mod init;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod json;
#[cfg(test)]
mod kill_rounds;
#[cfg(test)]
mod lease_command;
#[cfg(test)]
mod lease_crash;
#[cfg(test)]
mod lease_create;
#[cfg(test)]
mod lease_failures;
#[cfg(test)]
mod lease_issuers;
#[cfg(test)]
mod lease_matrix;
#[cfg(test)]
mod lease_others;
#[cfg(test)]
mod lease_revoke;
#[cfg(test)]
mod lease_support;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mcp_access;
#[cfg(test)]
mod mcp_clients;
#[cfg(test)]
mod mcp_lines;
#[cfg(test)]
mod mcp_support;
#[cfg(test)]
mod modernization;
#[cfg(test)]
mod plugin;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod provider_chain;
#[cfg(test)]
mod provider_external;
#[cfg(test)]
mod provider_keeper;
#[cfg(test)]
mod provider_lua;
#[cfg(test)]
mod provider_plugin;
#[cfg(test)]
mod push;
#[cfg(test)]
mod reencrypt;
#[cfg(test)]
mod reencrypt_files;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod serve_init;
#[cfg(test)]
mod serve_settings;
#[cfg(test)]
mod serve_start;
#[cfg(test)]
mod serve_support;
#[cfg(test)]
mod serve_tools;
mod setting;
#[cfg(test)]
mod shell_hook;
#[cfg(test)]
mod shell_real;
#[cfg(test)]
mod shell_support;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod team_approve;
#[cfg(test)]
mod team_crash;
#[cfg(test)]
mod team_exec;
#[cfg(test)]
mod team_faults;
#[cfg(test)]
mod team_flow;
#[cfg(test)]
mod team_http;
#[cfg(test)]
mod team_limits;
#[cfg(test)]
mod team_load;
#[cfg(test)]
mod team_login;
#[cfg(test)]
mod team_malice;
#[cfg(test)]
mod team_process;
#[cfg(test)]
mod team_questions;
#[cfg(test)]
mod team_races;
#[cfg(test)]
mod team_reading;
#[cfg(test)]
mod team_restore;
#[cfg(test)]
mod team_secret;
#[cfg(test)]
mod team_stand_in;
#[cfg(test)]
mod team_support;
#[cfg(test)]
mod telemetry;
#[cfg(feature = "opentelemetry")]
#[cfg(test)]
mod telemetry_collector;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod tui;
#[cfg(test)]
mod vault_canary;
#[cfg(test)]
mod vault_cloud;
#[cfg(test)]
mod vault_crash;
#[cfg(test)]
mod vault_errors;
#[cfg(test)]
mod vault_exec;
#[cfg(test)]
mod vault_faults;
#[cfg(test)]
mod vault_flood;
#[cfg(test)]
mod vault_git;
#[cfg(test)]
mod vault_hardening;
#[cfg(test)]
mod vault_host_socket;
#[cfg(test)]
mod vault_import;
#[cfg(test)]
mod vault_keychain;
#[cfg(test)]
mod vault_load;
#[cfg(test)]
mod vault_mint_cloud;
#[cfg(test)]
mod vault_mint_crash;
#[cfg(test)]
mod vault_mint_database;
#[cfg(test)]
mod vault_mint_support;
#[cfg(test)]
mod vault_mints;
#[cfg(test)]
mod vault_process;
#[cfg(test)]
mod vault_start;
#[cfg(test)]
mod vault_support;
#[cfg(test)]
mod vault_tour;
#[cfg(test)]
mod watch;
