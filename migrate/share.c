/* SPDX-License-Identifier: MIT */
/* migrate/share.c - the arithmetic of shares; see share.h */
#include "migrate/share.h"

static const char *const of_names[SHARE_OFS] = {
	[SHARE_OF_ALL] = "",
	[SHARE_OF_THREADS] = "thread",
	[SHARE_OF_PROCESSES] = "process",
	[SHARE_OF_HOSTS] = "host",
};

uint64_t share_end(const struct share *share)
{
	if (share->of == SHARE_OF_ALL)
		return (uint64_t)1 << 32;
	return ((uint64_t)share->size << 32) / SHARE_WHOLE;
}

enum share_arm share_arm_of(const struct share *share, uint32_t draw)
{
	uint64_t end = share_end(share);
	if (draw < end)
		return ARM_CANARY;
	return share->control && draw >= ((uint64_t)1 << 32) - end ? ARM_CONTROL : ARM_NEITHER;
}

const char *share_of_name(enum share_of of)
{
	return of_names[of];
}

static size_t append(char *out, size_t used, const char *text)
{
	while (*text && used < SHARE_TEXT_BYTES - 1)
		out[used++] = *text++;
	out[used] = '\0';
	return used;
}

/* "12.5", without zeroes at the end. */
static size_t append_percent(char *out, size_t used, uint32_t size)
{
	char digits[SHARE_DECIMALS + 1] = { 0 };
	uint32_t whole = size / SHARE_PERCENT, rest = size % SHARE_PERCENT;
	char number[] = { (char)('0' + whole / 100), (char)('0' + whole / 10 % 10),
			  (char)('0' + whole % 10), '\0' };

	used = append(out, used, number + (whole < 100) + (whole < 10));
	if (rest == 0)
		return used;
	for (int i = SHARE_DECIMALS - 1; i >= 0; i--, rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	for (int i = SHARE_DECIMALS - 1; digits[i] == '0'; i--)
		digits[i] = '\0';
	used = append(out, used, ".");
	return append(out, used, digits);
}

size_t share_text(const struct share *share, char out[SHARE_TEXT_BYTES])
{
	size_t used = append(out, 0, "");

	if (share->of == SHARE_OF_ALL)
		return used;
	used = append(out, used, "@");
	used = append_percent(out, used, share->size);
	used = append(out, used, "%:");
	used = append(out, used, of_names[share->of]);
	return share->control ? append(out, used, "/control") : used;
}
