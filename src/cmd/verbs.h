#pragma once
/* Every verb's row, one line each, in the order of src/main.c. */
#include "cmd/cmd.h"

extern const struct cmd cmd_run;
extern const struct cmd cmd_create;
extern const struct cmd cmd_start;
extern const struct cmd cmd_stop;
extern const struct cmd cmd_restart;
extern const struct cmd cmd_kill;
extern const struct cmd cmd_pause;
extern const struct cmd cmd_unpause;
extern const struct cmd cmd_rm;
extern const struct cmd cmd_rename;
extern const struct cmd cmd_update;
extern const struct cmd cmd_wait;
extern const struct cmd cmd_container_prune;

extern const struct cmd cmd_ps;
extern const struct cmd cmd_inspect;
extern const struct cmd cmd_container_inspect;
extern const struct cmd cmd_logs;
extern const struct cmd cmd_top;
extern const struct cmd cmd_stats;
extern const struct cmd cmd_port;
extern const struct cmd cmd_events;

extern const struct cmd cmd_exec;
extern const struct cmd cmd_attach;
extern const struct cmd cmd_cp;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_export;

extern const struct cmd cmd_build;
extern const struct cmd cmd_builder_prune;
extern const struct cmd cmd_commit;
extern const struct cmd cmd_images;
extern const struct cmd cmd_image_bootstrap;
extern const struct cmd cmd_image_inspect;
extern const struct cmd cmd_image_prune;
extern const struct cmd cmd_image_verify;
extern const struct cmd cmd_history;
extern const struct cmd cmd_log;
extern const struct cmd cmd_revert;
extern const struct cmd cmd_gc;
extern const struct cmd cmd_pull;
extern const struct cmd cmd_push;
extern const struct cmd cmd_login;
extern const struct cmd cmd_logout;
extern const struct cmd cmd_tag;
extern const struct cmd cmd_rmi;
extern const struct cmd cmd_load;
extern const struct cmd cmd_save;
extern const struct cmd cmd_import;

extern const struct cmd cmd_network_create;
extern const struct cmd cmd_network_ls;
extern const struct cmd cmd_network_inspect;
extern const struct cmd cmd_network_connect;
extern const struct cmd cmd_network_disconnect;
extern const struct cmd cmd_network_rm;
extern const struct cmd cmd_network_prune;

extern const struct cmd cmd_volume_create;
extern const struct cmd cmd_volume_ls;
extern const struct cmd cmd_volume_inspect;
extern const struct cmd cmd_volume_rm;
extern const struct cmd cmd_volume_prune;

extern const struct cmd cmd_machine_run;

extern const struct cmd cmd_system_df;
extern const struct cmd cmd_system_prune;
extern const struct cmd cmd_info;
extern const struct cmd cmd_version;
extern const struct cmd cmd_doctor;
extern const struct cmd cmd_completion;

extern const struct cmd cmd_man;
extern const struct cmd cmd_complete;
extern const struct cmd cmd_supervise;
extern const struct cmd cmd_build_keeper;

extern const struct cmd cmd_oci;
extern const struct cmd cmd_oci_create;
extern const struct cmd cmd_oci_start;
extern const struct cmd cmd_oci_run;
extern const struct cmd cmd_oci_exec;
extern const struct cmd cmd_oci_kill;
extern const struct cmd cmd_oci_delete;
extern const struct cmd cmd_oci_pause;
extern const struct cmd cmd_oci_resume;
extern const struct cmd cmd_oci_state;
extern const struct cmd cmd_oci_list;
extern const struct cmd cmd_oci_ps;
extern const struct cmd cmd_oci_events;
extern const struct cmd cmd_oci_update;
extern const struct cmd cmd_oci_spec;
extern const struct cmd cmd_oci_features;
extern const struct cmd cmd_oci_checkpoint;
extern const struct cmd cmd_oci_restore;

extern const struct cmd cmd_compose;
extern const struct cmd cmd_compose_up;
extern const struct cmd cmd_compose_down;
extern const struct cmd cmd_compose_ps;
extern const struct cmd cmd_compose_logs;
extern const struct cmd cmd_compose_config;
extern const struct cmd cmd_compose_build;
extern const struct cmd cmd_compose_exec;
extern const struct cmd cmd_compose_start;
extern const struct cmd cmd_compose_stop;
extern const struct cmd cmd_compose_restart;
extern const struct cmd cmd_compose_kill;
extern const struct cmd cmd_compose_rm;
extern const struct cmd cmd_compose_pause;
extern const struct cmd cmd_compose_unpause;
extern const struct cmd cmd_compose_run;
extern const struct cmd cmd_compose_create;
extern const struct cmd cmd_compose_pull;
extern const struct cmd cmd_compose_images;
extern const struct cmd cmd_compose_top;
extern const struct cmd cmd_compose_port;
extern const struct cmd cmd_compose_cp;
extern const struct cmd cmd_compose_ls;
