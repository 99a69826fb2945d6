/* `oci features`: runtime-spec features.md. What the kernel and the engine can is the engine's to say. */
#include "oci/oci.h"

#include "engine/engine.h"

json_t *oci_features(void)
{
	json_t *j = engine_container.features();

	json_object_set_new(j, "ociVersionMin", json_string("1.0.0"));
	json_object_set_new(j, "ociVersionMax", json_string("1.3.0"));
	json_object_set_new(j, "hooks",
		json_pack("[s, s, s, s, s, s]", "prestart", "createRuntime", "createContainer",
			"startContainer", "poststart", "poststop"));
	json_object_set_new(j, "potentiallyUnsafeConfigAnnotations", json_array());
	return j;
}
