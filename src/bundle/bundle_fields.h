#pragma once
/* The record tables of the bundle, for bundle.c. JSON names are the runtime-spec's. */
#include "bundle/bundle.h"

extern const struct record_field bundle_fields[];
extern const struct record_field bundle_process_fields[];
