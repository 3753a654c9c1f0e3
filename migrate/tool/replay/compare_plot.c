/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compare_plot.c - the pictures of a comparison; see compare.h */
#include "migrate/tool/replay/compare.h"
#include "migrate/tool/trace/plot.h"

#include <math.h>
#include <string.h>

#define ROW_HEIGHT 20

static const char *colour_of(unsigned side)
{
	return side == COMPARE_NEW ? PLOT_NEW : side == COMPARE_OLD ? PLOT_OLD : plot_peers[(side - 2) % 4];
}

static double width_of(unsigned side)
{
	return side == COMPARE_NEW ? 2.6 : 1.7;
}

/* --- ratios ------------------------------------------------------------------------------------- */

static void put_tics(struct plot *plot, double low, double high)
{
	const char *between = "";

	fputs("set xtics (", plot->script);
	for (int power = -6; power <= 6; power++) {
		double mark = pow(2, power);
		if (mark < low || mark > high)
			continue;
		if (power < 0)
			fprintf(plot->script, "%s'1/%d' %g", between, 1 << -power, mark);
		else
			fprintf(plot->script, "%s'%d' %g", between, 1 << power, mark);
		between = ", ";
	}
	if (high / low < 8)
		fprintf(plot->script, "%s'0.75' 0.75, '1.25' 1.25, '1.5' 1.5", between);
	fputs(")\n", plot->script);
}

/* A line for each class that was judged, and for all: a dot and an interval for each of two metrics. */
static bool ratios(const struct compare *compare, struct plot *plot, enum metric first,
		   enum metric second, const char *const titles[2], const char *axis)
{
	const enum metric metrics[2] = { first, second };
	char size[COMPARE_SIZE_BYTES];
	unsigned rows[COMPARE_ROWS], count = 0;
	double low = 0.7, high = 1.4;

	for (unsigned row = 0; row < COMPARE_ROWS; row++)
		if (compare->row[row].is_replayed)
			rows[count++] = row;
	if (!count || !plot_begin(plot, 1100, 110 + ROW_HEIGHT * count))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		fprintf(plot->script, "$d%u << EOD\n", i);
		for (unsigned at = 0; at < count; at++) {
			const struct estimate *one = &compare->row[rows[at]].ratio[metrics[i]];
			if (isnan(one->point))
				continue;
			double from = isnan(one->low) ? one->point : one->low;
			double to = isnan(one->high) ? one->point : one->high;
			fprintf(plot->script, "%g %g %g %g\n", (double)(count - at) + 0.12 - 0.24 * i,
				one->point, from, to);
			low = fmin(low, from / 1.05);
			high = fmax(high, to * 1.05);
		}
		fputs("EOD\n", plot->script);
	}
	low = fmax(low, 1.0 / 64);
	high = fmin(high, 64);
	fputs("set ytics (", plot->script);
	for (unsigned at = 0; at < count; at++)
		fprintf(plot->script, "%s'%s' %u", at ? ", " : "",
			compare_row_name(rows[at], size), count - at);
	fprintf(plot->script,
		") scale 0\nset yrange [0.3:%u.7]\nset grid ytics\nset logscale x 2\n"
		"set xrange [%g:%g]\nset xlabel '%s'\nset key outside top center horizontal\n"
		"set arrow 1 from 1,0.3 to 1,%u.7 nohead lw 1.6 lc rgb '" PLOT_LINE "'\n",
		count, low, high, axis, count);
	put_tics(plot, low, high);
	fprintf(plot->script,
		"plot $d0 using 2:1:3:4 with xerrorbars pt 7 ps 0.7 lw 1.6 lc rgb '" PLOT_NEW
		"' title '%s', $d1 using 2:1:3:4 with xerrorbars pt 9 ps 0.7 lw 1.3 lc rgb "
		"'#d55e00' title '%s'\n",
		titles[0], titles[1]);
	return true;
}

/* --- of a trace --------------------------------------------------------------------------------- */

static void put_lines(const struct compare *compare, unsigned trace, struct plot *plot,
		      const char *columns)
{
	const char *between = "plot ";

	for (unsigned side = 0; side < compare->sides; side++) {
		if (!compare->trace[trace].last[side])
			continue;
		fprintf(plot->script, "%s$d%u using %s with lines lw %g lc rgb '%s' title ", between,
			side, columns, width_of(side), colour_of(side));
		plot_quote(plot, compare->side[side].label);
		between = ", ";
	}
}

static bool rss(const struct compare *compare, unsigned trace, struct plot *plot)
{
	if (!plot_begin(plot, 1100, 380))
		return false;
	for (unsigned side = 0; side < compare->sides; side++) {
		const struct replay_shared *last = compare->trace[trace].last[side];
		if (!last)
			continue;
		fprintf(plot->script, "$d%u << EOD\n", side);
		for (uint32_t i = 0; i < last->samples; i++)
			fprintf(plot->script, "%g %g %g\n", (double)last->sample[i].time_ns / 1e9,
				(double)last->sample[i].rss_bytes / (double)MIB,
				(double)last->sample[i].live_bytes / (double)MIB);
		fputs("EOD\n", plot->script);
	}
	fputs("set xlabel 'seconds of the replay'\nset ylabel 'MiB'\nset yrange [0:*]\n"
	      "set key outside right top\n",
	      plot->script);
	put_lines(compare, trace, plot, "1:2");
	fputs(", $d1 using 1:3 with lines lw 1.5 dt 2 lc rgb '#000000' title 'live'\n", plot->script);
	return true;
}

static bool latency(const struct compare *compare, unsigned trace, unsigned call, struct plot *plot)
{
	static const double percents[] = { 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95,
					   99.98, 99.99 };
	struct engine_times times;

	if (!plot_begin(plot, 545, 400))
		return false;
	for (unsigned side = 0; side < compare->sides; side++) {
		const struct replay_shared *last = compare->trace[trace].last[side];
		if (!last)
			continue;
		engine_times(last, call, NEXT_CLASSES, &times);
		fprintf(plot->script, "$d%u << EOD\n", side);
		for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
			/* At least ten calls were slower, or the figure is one call's. */
			if ((double)times.count * (1 - percents[i] / 100) >= 10)
				fprintf(plot->script, "%g %g\n", 100 / (100 - percents[i]),
					engine_percentile(&times, percents[i]));
		fputs("EOD\n", plot->script);
		if (!times.count)
			fprintf(plot->script, "$d%u << EOD\n2 NaN\nEOD\n", side);
	}
	fprintf(plot->script,
		"set title '%s'\nset logscale xy\nset xrange [2:10000]\n"
		"set xtics ('p50' 2, 'p90' 10, 'p99' 100, 'p99.9' 1000, 'p99.99' 10000)\n"
		"set ylabel 'nanoseconds'\nset key left top\n",
		call == REPLAY_MALLOC ? "malloc, calloc, memalign, with the first touch" : "free");
	put_lines(compare, trace, plot, "1:2");
	fputc('\n', plot->script);
	return true;
}

char *compare_picture(const struct compare *compare, enum compare_picture picture, unsigned trace,
		      char words[256])
{
	static const char *const times[] = { "mean time of a call", "p99" };
	static const char *const memory[] = { "resident for a live byte", "peak RSS" };
	struct plot plot;
	bool begun = false;

	(void)snprintf(words, 256, "nothing to draw");
	switch (picture) {
	case PICTURE_RATIOS_TIME:
		begun = ratios(compare, &plot, METRIC_TIME, METRIC_P99, times,
			       "time, new / old (left is faster)");
		break;
	case PICTURE_RATIOS_MEMORY:
		begun = ratios(compare, &plot, METRIC_HELD, METRIC_RSS, memory,
			       "memory, new / old (left is leaner)");
		break;
	case PICTURE_RSS:
		begun = rss(compare, trace, &plot);
		break;
	case PICTURE_MALLOC:
		begun = latency(compare, trace, REPLAY_MALLOC, &plot);
		break;
	case PICTURE_FREE:
		begun = latency(compare, trace, REPLAY_FREE, &plot);
		break;
	case PICTURE_TRACE:
		begun = info_begin_picture(compare->trace[trace].info, &plot);
		break;
	}
	return begun ? plot_draw_text(&plot, words) : NULL;
}
