/* SPDX-License-Identifier: MIT */
/* legacy/tunables.c - parses HAKMEM_LEGACY; see tunables.h */
#include "legacy/tunables.h"

#include <string.h>

#define TUNABLES_DEFAULT                                                                           \
	{                                                                                          \
		.probes = PROBES_DEFAULT, .unified = false, .skip_header = false                   \
	}

struct legacy_tunables legacy_tunables = TUNABLES_DEFAULT;

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\n");
}

/* A decimal number below 1,000; false if there is none at *text. */
static bool parse_number(const char **text, unsigned *value)
{
	size_t digits = strspn(*text, "0123456789");
	if (digits == 0 || digits > 3)
		return false;
	*value = 0;
	for (; digits > 0; digits--)
		*value = *value * 10 + (unsigned)(*(*text)++ - '0');
	return true;
}

static const char *set_one(struct legacy_tunables *tunables, const char *name, size_t length,
			   unsigned value)
{
	if (length == 6 && memcmp(name, "probes", length) == 0) {
		if (value < 1 || value > PROBES_MAX)
			return "probes must be 1 to 8";
		tunables->probes = value;
	} else if (length == 7 && memcmp(name, "unified", length) == 0) {
		if (value > 1)
			return "unified must be 0 or 1";
		tunables->unified = value;
	} else if (length == 11 && memcmp(name, "skip_header", length) == 0) {
		if (value > 1)
			return "skip_header must be 0 or 1";
		tunables->skip_header = value;
	} else {
		return "unknown name: there are probes, unified and skip_header";
	}
	return NULL;
}

bool legacy_tunables_parse(const char *text, struct legacy_tunables *out, const char **error)
{
	struct legacy_tunables parsed = TUNABLES_DEFAULT;
	text = skip_blanks(text ? text : "");
	while (*text) {
		const char *name = text;
		size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
		unsigned value;
		text = skip_blanks(text + length);
		*error = "each item must be name=number";
		if (*text != '=')
			return false;
		text = skip_blanks(text + 1);
		if (!parse_number(&text, &value))
			return false;
		*error = set_one(&parsed, name, length, value);
		if (*error)
			return false;
		text = skip_blanks(text);
		if (*text == '\0')
			break;
		*error = "items are separated by one comma";
		if (*text != ',')
			return false;
		text = skip_blanks(text + 1);
		if (*text == '\0')
			return false;
	}
	*error = NULL;
	*out = parsed;
	return true;
}
