#pragma once
/* A project's networks and volumes: made when a chosen service uses them, found by their labels. */
#include "compose/compose.h"

int resources_make(struct db *db, const struct compose_project *p,
	const struct compose_report *report, struct err *err);
/* All networks of the project and, with `volumes`, its volumes. */
int resources_remove(struct db *db, const struct compose_project *p, bool volumes,
	const struct compose_report *report, struct err *err);
