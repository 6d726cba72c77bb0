/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Libraries that are loaded by those who use them. */
#include <skete/base.h>

#include <dlfcn.h>

int sk_library_load(const char *soname, const char *package, const struct sk_symbol *symbols,
		    size_t nr_symbols, struct sk_error *err)
{
	/* Never unloaded: GLib, for one, cannot be. */
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	size_t i;

	if (!library)
		return sk_error_set(err, -ENOENT,
				    "the library %s is needed (Debian package %s): %s", soname,
				    package, dlerror());
	for (i = 0; i < nr_symbols; i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol)
			return sk_error_set(err, -ENOENT, "the library %s has no %s", soname,
					    symbols[i].name);
		memcpy(symbols[i].fn, &symbol, sizeof(symbol));
	}
	return 0;
}
