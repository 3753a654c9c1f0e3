/* SPDX-License-Identifier: MIT */
/* tests/tool_estimate.c - prints estimate_ratio() of every line of logarithms, for tool_estimate_test.py */
#include "migrate/tool/replay/estimate.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	static char line[65536];

	while (fgets(line, sizeof(line), stdin)) {
		double values[ESTIMATE_MOST_ROUNDS];
		unsigned count = 0;
		char *at = line, *end;

		for (; count < ESTIMATE_MOST_ROUNDS; at = end) {
			values[count] = strtod(at, &end);
			if (end == at)
				break;
			count++;
		}
		struct estimate estimate = estimate_ratio(values, count);
		printf("%.17g %.17g %.17g\n", estimate.point, estimate.low, estimate.high);
	}
	return 0;
}
