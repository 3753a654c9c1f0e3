/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compare_html.c - a comparison as one HTML file, pictures inside; see compare.h */
#include "migrate/tool/output.h"
#include "migrate/tool/replay/compare.h"
#include "migrate/tool/replay/report.h"
#include "migrate/tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>hakmem compare</title>\n<style>\n"
	"body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;color:#222;max-width:1280px;"
	"margin:2em auto;padding:0 1em}\n"
	"h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.2em;margin:2em 0 .5em}\n"
	"table{border-collapse:collapse;width:100%;font-size:.9em}\n"
	"th,td{padding:.25em .6em;border-bottom:1px solid #e4e6ea;text-align:right;"
	"white-space:nowrap}\n"
	"th:first-child,td:first-child,td.why{text-align:left}td.why{white-space:normal;overflow-wrap:anywhere;color:#555}\n"
	"thead th{border-bottom:2px solid #999;background:#fff;position:sticky;top:0}\n"
	"td small{color:#777}td.better{color:#00609c}td.worse{color:#b03a00;font-weight:600}\n"
	".verdict{padding:.7em 1em;border-radius:6px;border-left:6px solid}\n"
	".promote{background:#e3f4ea;border-color:#1b8a4b}.hold{background:#fff3d6;"
	"border-color:#c98a00}.roll-back{background:#fde3dc;border-color:#c23b1c}\n"
	"td.promote,td.hold,td.roll-back{text-align:center;font-weight:600}\n"
	"code{background:#f2f3f5;padding:.1em .3em;border-radius:3px}\n"
	"img{max-width:100%;height:auto}.pair{display:flex;flex-wrap:wrap}.pair>div{flex:1 1 500px}\n"
	"p.note{color:#555;font-size:.9em}\n</style></head><body>\n";

static void put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(*text, out);
		}
	}
}

static const char *style_of(enum verdict verdict)
{
	return verdict == VERDICT_ROLL_BACK ? "roll-back" : compare_verdict_names[verdict];
}

static void put_ratio(FILE *out, const struct estimate *ratio)
{
	if (isnan(ratio->point)) {
		fputs("<td>&ndash;</td>", out);
		return;
	}
	const char *style = isnan(ratio->low) ? "" :
			    ratio->high < 1   ? " class=\"better\"" :
			    ratio->low > 1    ? " class=\"worse\"" :
						"";
	fprintf(out, "<td%s>%.2f", style, ratio->point);
	if (ratio->high > ESTIMATE_NOISE * ratio->low)
		fputs(" <small>noise</small>", out);
	else if (!isnan(ratio->low))
		fprintf(out, " <small>%.2f&ndash;%.2f</small>", ratio->low, ratio->high);
	fputs("</td>", out);
}

static void put_head(FILE *out, const struct compare *compare)
{
	fputs(head, out);
	fputs("<h1>Old against new</h1>\n<p>old is <code>", out);
	put_text(out, compare->side[COMPARE_OLD].plan);
	fputs("</code>, new is <code>", out);
	put_text(out, compare->side[COMPARE_NEW].plan);
	fprintf(out, "</code>; %u rounds%s on", compare->done,
		compare->interrupted ? " (interrupted)" : "");
	for (unsigned i = 0; i < compare->traces; i++) {
		fputs(i ? ", " : " ", out);
		put_text(out, compare->trace[i].source.path);
		uint32_t threads = compare->trace[i].header.threads;
		fprintf(out, " (%" PRIu64 " operations, %" PRIu32 " thread%s)",
			compare->trace[i].header.operations, threads, threads == 1 ? "" : "s");
	}
	fprintf(out, ".</p>\n<p class=\"verdict %s\"><b>%s</b>: ", style_of(compare->verdict),
		compare_verdict_names[compare->verdict]);
	put_text(out, compare->reason);
	fputs("</p>\n", out);
}

static void put_sides(FILE *out, const struct compare *compare)
{
	char peak[OUTPUT_BYTES], mean[OUTPUT_BYTES], words[REPORT_SIDE_BYTES];

	fputs("<h2>The whole</h2>\n<table><thead><tr><th>side</th><th>M ops/s</th><th>mean call</th>"
	      "<th>p50</th><th>p99</th><th>p99.9</th><th>peak RSS</th><th>mean RSS</th>"
	      "<th>held</th><th>faults</th></tr></thead><tbody>\n",
	      out);
	for (unsigned side = 0; side < compare->sides; side++) {
		const double *median = compare->row[COMPARE_ALL].median[side];
		fputs("<tr><td>", out);
		if (side < 2)
			fprintf(out, "<b>%s</b> ", compare->side[side].label);
		put_text(out, replay_side_name(&compare->side[side], compare->trace[0].last[side], words));
		fprintf(out,
			"</td><td>%.2f</td><td>%.0f ns</td><td>%.0f ns</td><td>%.0f ns</td>"
			"<td>%.0f ns</td><td>%s</td><td>%s</td><td>%.3f</td><td>%.0f</td></tr>\n",
			1e3 / median[METRIC_WALL], median[METRIC_TIME], median[METRIC_P50],
			median[METRIC_P99], median[METRIC_P999],
			output_bytes((uint64_t)median[METRIC_RSS], peak),
			output_bytes((uint64_t)median[METRIC_MEAN_RSS], mean), median[METRIC_HELD],
			median[METRIC_FAULTS]);
	}
	fputs("</tbody></table>\n<p class=\"note\">Medians over the rounds, of several traces the "
	      "geometric mean. A call is timed with the first touch of its block; held is resident "
	      "memory for a live byte, on average over the replay.</p>\n",
	      out);
	if (compare->sides == 2)
		return;
	fputs("<table><thead><tr><th>new against</th><th>whole</th><th>mean call</th><th>p99</th>"
	      "<th>peak RSS</th><th>held</th><th>faults</th></tr></thead><tbody>\n",
	      out);
	for (unsigned side = 2; side < compare->sides; side++) {
		static const enum metric shown[] = { METRIC_WALL, METRIC_TIME, METRIC_P99,
						     METRIC_RSS,  METRIC_HELD, METRIC_FAULTS };
		fputs("<tr><td>", out);
		put_text(out, compare->side[side].label);
		fputs("</td>", out);
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			put_ratio(out, &compare->peer[side][shown[i]]);
		fputs("</tr>\n", out);
	}
	fputs("</tbody></table>\n", out);
}

static void put_classes(FILE *out, const struct compare *compare)
{
	static const enum metric shown[] = { METRIC_TIME, METRIC_P99, METRIC_RSS, METRIC_HELD,
					     METRIC_FAULTS };
	char size[COMPARE_SIZE_BYTES];
	unsigned few = 0;

	fputs("<h2>Class by class</h2>\n<table><thead><tr><th>to</th><th>allocations</th>"
	      "<th>time of a call</th><th>p99</th><th>peak RSS</th><th>held</th><th>faults</th>"
	      "<th>verdict</th><th></th></tr></thead><tbody>\n",
	      out);
	for (unsigned number = 0; number < COMPARE_ROWS; number++) {
		const struct compare_row *row = &compare->row[number];
		if (!row->allocations)
			continue;
		if (number != COMPARE_ALL &&
		    (double)row->allocations < compare->guards.least_allocations) {
			few++;
			continue;
		}
		fprintf(out, "<tr><td>%s</td><td>%" PRIu64 "</td>", compare_row_name(number, size),
			row->allocations);
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			put_ratio(out, &row->ratio[shown[i]]);
		fprintf(out, "<td class=\"%s\">%s</td><td class=\"why\">", style_of(row->verdict),
			compare_verdict_names[row->verdict]);
		if (row->verdict != VERDICT_PROMOTE)
			put_text(out, row->reason);
		fputs("</td></tr>\n", out);
	}
	if (few)
		fprintf(out,
			"<tr><td colspan=\"9\">%u classes with fewer than %.0f allocations are "
			"held</td></tr>\n",
			few, compare->guards.least_allocations);
	fputs("</tbody></table>\n<p class=\"note\">new / old: below 1 is better. The interval holds "
	      "the truth in 95 of 100 cases. Times are those of the class's calls in the whole trace; "
	      "memory and faults those of a replay of its blocks alone.</p>\n",
	      out);
}

static void put_base64(FILE *out, const char *data, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t bits = (uint32_t)(unsigned char)data[i] << 16 |
				(left > 1 ? (uint32_t)(unsigned char)data[i + 1] << 8 : 0) |
				(left > 2 ? (uint32_t)(unsigned char)data[i + 2] : 0);
		putc(digits[bits >> 18], out);
		putc(digits[bits >> 12 & 63], out);
		putc(left > 1 ? digits[bits >> 6 & 63] : '=', out);
		putc(left > 2 ? digits[bits & 63] : '=', out);
	}
}

static bool put_picture(FILE *out, const struct compare *compare, enum compare_picture picture,
			unsigned trace)
{
	char words[256];
	char *svg = compare_picture(compare, picture, trace, words);

	if (!svg) {
		fputs("<p class=\"note\">", out);
		put_text(out, words);
		fputs("</p>\n", out);
		return false;
	}
	/* As a picture of its own: names that gnuplot gives to parts of it are the same in all. */
	fputs("<div><img alt=\"\" src=\"data:image/svg+xml;base64,", out);
	put_base64(out, svg, strlen(svg));
	fputs("\"></div>\n", out);
	free(svg);
	return true;
}

static void put_pictures(FILE *out, const struct compare *compare)
{
	fputs("<h2>Ratios</h2>\n", out);
	if (!put_picture(out, compare, PICTURE_RATIOS_TIME, 0))
		return; /* gnuplot is not there: it has been said once */
	(void)put_picture(out, compare, PICTURE_RATIOS_MEMORY, 0);
	for (unsigned trace = 0; trace < compare->traces; trace++) {
		fputs("<h2>", out);
		put_text(out, compare->trace[trace].source.path);
		fputs("</h2>\n", out);
		(void)put_picture(out, compare, PICTURE_RSS, trace);
		fputs("<div class=\"pair\">", out);
		(void)put_picture(out, compare, PICTURE_MALLOC, trace);
		(void)put_picture(out, compare, PICTURE_FREE, trace);
		fputs("</div>\n", out);
		(void)put_picture(out, compare, PICTURE_TRACE, trace);
	}
}

bool compare_html(const struct compare *compare, const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out) {
		tool_error(compare->name, "%s: %s", path, strerror(errno));
		return false;
	}
	put_head(out, compare);
	put_sides(out, compare);
	put_classes(out, compare);
	put_pictures(out, compare);
	fputs("</body></html>\n", out);
	bool fine = !ferror(out);
	if (fclose(out) != 0 || !fine) {
		tool_error(compare->name, "%s: %s", path, strerror(errno));
		return false;
	}
	return true;
}
