/*
 * The instance's networks as its supervisor keeps them: the resolver, published ports, and networks that
 * are joined and left while it runs. Links themselves are the engine's.
 */
#include "instance/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "instance/state.h"

/* Networks of its own besides the default one give names. */
static char **named_networks(const struct supervisor *s)
{
	char **ids = NULL;

	for (size_t n = 0; n < s->i->state.endpoints.n; n++) {
		const struct bundle_endpoint *ep = s->i->state.endpoints.items[n];
		const struct instance_network *net =
			n < s->i->config.networks.n ? s->i->config.networks.items[n] : NULL;
		if (!net || strcmp(net->network, "bridge") != 0)
			strv_add(&ids, ep->network);
	}
	return ids;
}

/* Where nothing leads out, no question does either. */
static bool all_internal(const struct supervisor *s)
{
	for (size_t n = 0; n < s->i->state.endpoints.n; n++)
		if (!((struct bundle_endpoint *)s->i->state.endpoints.items[n])->internal)
			return false;
	return true;
}

int names_start(struct supervisor *s, struct err *err)
{
	cleanup(strv_free) char **networks = named_networks(s);
	char *nobody[] = { NULL };

	if (!networks)
		return 0;
	if (s->dns) {
		dns_set_networks(s->dns, networks);
		return 0;
	}
	return dns_start(s->loop, (pid_t)s->i->state.run.pid, networks,
		all_internal(s) ? nobody : s->i->config.dns, &s->dns, err);
}

int ports_publish(struct supervisor *s, struct err *err)
{
	const struct bundle_endpoint *ep =
		s->i->state.endpoints.n ? s->i->state.endpoints.items[0] : NULL;
	cleanup(free) int *targets = NULL;
	cleanup(free) char *address = NULL;
	bool is_fresh = !s->i->state.ports.n;
	int r;

	if (!s->i->config.ports.n || !ep)
		return 0;
	/* Those of before a change of networks keep their numbers. */
	for (size_t n = 0; is_fresh && n < s->i->config.ports.n; n++) {
		cleanup(json_free) json_t *j =
			record_dump(port_fields, s->i->config.ports.items[n]);
		record_parse(port_fields, j,
			record_list_add(&s->i->state.ports, sizeof(struct port)), NULL);
	}
	r = port_publish(
		s->i->config.id, &s->i->state.ports, ep, &s->port_fds, &s->n_port_fds, err);
	if (r < 0 || !s->n_port_fds || !ep->address4)
		return r;
	targets = xcalloc(s->n_port_fds, sizeof(int));
	for (size_t n = 0; n < s->n_port_fds && n < s->i->state.ports.n; n++)
		targets[n] = (int)((struct port *)s->i->state.ports.items[n])->port;
	address = xstrndup(ep->address4, strcspn(ep->address4, "/"));
	return port_proxy_start(
		s->loop, s->port_fds, s->n_port_fds, address, targets, &s->proxy, err);
}

/* Not between two runs, nor once the process is dead: the next run, if there is one, has what is noted down now. */
static bool has_links(const struct supervisor *s)
{
	return instance_running(s->i) && run_alive(&s->i->state.run);
}

/* What could not be done to links that are gone is no failure. */
static int unless_over(const struct supervisor *s, int r)
{
	return r < 0 && !has_links(s) ? 0 : r;
}

static void withdraw_ports(struct supervisor *s)
{
	struct err err = { 0 };

	port_proxy_free(s->proxy);
	s->proxy = NULL;
	for (size_t n = 0; n < s->n_port_fds; n++)
		fd_close(s->port_fds[n]);
	free(s->port_fds);
	s->port_fds = NULL;
	s->n_port_fds = 0;
	if (s->i->state.ports.n && port_unpublish(s->i->config.id, &err) < 0)
		log_warn("%s", err.text);
}

/* To where the first network leads now. */
static int republish(struct supervisor *s, struct err *err)
{
	if (!has_links(s))
		return 0;
	withdraw_ports(s);
	return ports_publish(s, err);
}

void ports_unpublish(struct supervisor *s)
{
	withdraw_ports(s);
	while (s->i->state.ports.n)
		record_list_remove(&s->i->state.ports, 0, port_fields);
}

static void copy_endpoint(const struct bundle_endpoint *from, struct record_list *to)
{
	cleanup(json_free) json_t *j = record_dump(bundle_endpoint_fields, from);

	record_parse(bundle_endpoint_fields, j, record_list_add(to, sizeof(*from)), NULL);
}

/* Two who connect at the same time have chosen the same name for the link. */
static void choose_link(const struct supervisor *s, struct bundle_endpoint *ep)
{
	for (unsigned k = 0, n = 0; n < s->i->state.endpoints.n; n++) {
		const struct bundle_endpoint *other = s->i->state.endpoints.items[n];
		if (strcmp(other->link, ep->link) != 0)
			continue;
		free(ep->link);
		ep->link = xasprintf("eth%u", k++);
		n = UINT_MAX; /* all of them again */
	}
}

static bool is_on(const struct supervisor *s, const char *network)
{
	for (size_t n = 0; n < s->i->state.endpoints.n; n++)
		if (strcmp(((struct bundle_endpoint *)s->i->state.endpoints.items[n])->network,
			    network) == 0)
			return true;
	return false;
}

int supervisor_connect(struct supervisor *s, json_t *endpoint, struct err *err)
{
	struct bundle_endpoint ep = { 0 };
	int r;

	if (!endpoint || !s->engine->attach)
		return err_set(err, ENOTSUP, "isolation '%s' cannot join a network while it runs",
			s->engine->name);
	r = record_parse(bundle_endpoint_fields, endpoint, &ep, err);
	if (r == 0 && is_on(s, ep.network))
		r = err_set(err, EALREADY, "it is already on network %.12s", ep.network);
	if (r == 0)
		choose_link(s, &ep);
	if (r == 0)
		r = unless_over(s, s->engine->attach(&s->i->state.run, &ep, err));
	if (r == 0) {
		copy_endpoint(&ep, &s->i->state.endpoints);
		copy_endpoint(&ep, &s->bundle->holm.endpoints);
		if (s->i->state.endpoints.n == 1)
			r = republish(s, err);
		supervisor_save(s);
		/* Without names it still has its network. */
		if (has_links(s) && names_start(s, err) < 0 && err)
			log_warn("%s", err->text);
	}
	record_clear(bundle_endpoint_fields, &ep);
	return r;
}

static void drop_endpoint(struct record_list *list, const char *network)
{
	for (size_t n = list->n; n-- > 0;)
		if (strcmp(((struct bundle_endpoint *)list->items[n])->network, network) == 0)
			record_list_remove(list, n, bundle_endpoint_fields);
}

static void make_default(struct record_list *list)
{
	if (list->n)
		((struct bundle_endpoint *)list->items[0])->is_default = true;
}

/* The first network is gone: way out and published ports move to the next. */
static int lead_through_first(struct supervisor *s, struct err *err)
{
	const struct record_list *list = &s->i->state.endpoints;
	int r = 0;

	make_default(&s->i->state.endpoints);
	make_default(&s->bundle->holm.endpoints);
	if (list->n && s->engine->set_default)
		r = unless_over(s, s->engine->set_default(&s->i->state.run, list->items[0], err));
	return r < 0 ? r : republish(s, err);
}

int supervisor_disconnect(struct supervisor *s, const char *network, struct err *err)
{
	for (size_t n = 0; n < s->i->state.endpoints.n; n++) {
		const struct bundle_endpoint *ep = s->i->state.endpoints.items[n];
		cleanup(strv_free) char **networks = NULL;
		int r;
		if (strcmp(ep->network, network) != 0)
			continue;
		r = s->engine->detach
			    ? unless_over(s, s->engine->detach(&s->i->state.run, ep, err))
			    : err_set(err, ENOTSUP, "it cannot leave a network while it runs");
		if (r < 0)
			return r;
		drop_endpoint(&s->i->state.endpoints, network);
		drop_endpoint(&s->bundle->holm.endpoints, network);
		if (n == 0)
			r = lead_through_first(s, err);
		supervisor_save(s);
		networks = named_networks(s);
		if (s->dns)
			dns_set_networks(s->dns, networks);
		return r;
	}
	return 0;
}
