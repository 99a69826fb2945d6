#pragma once
/*
 * What a Compose file may say: one table of rules checks a document, brings its short forms into the
 * long ones, and says how one file is merged over another (compose-spec, 13-merge.md). After it every
 * member is of the kind that its rule says, so that what reads the tree need not check.
 */
#include "compose/node.h"

/* A document of a file in `dir`, from which relative paths start. Unknown members are refused; x-... pass. */
int model_normalize(struct node *doc, const char *dir, struct err *err);
/* `over` wins; it is taken over. */
void model_merge(struct node *base, struct node *over);
/* Who shares a namespace of another service depends on it. */
void model_imply(struct node *root);
/* What only the whole can show: each service has an image or a build, and what it names is there. */
int model_check(const struct node *root, struct err *err);
#define MODEL_MAX_SCALE 1000
/* The number of a service's containers: one number, and one container where they have a name. */
int model_check_scale(const struct node *service, const char *what, struct err *err);
