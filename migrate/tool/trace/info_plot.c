/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/info_plot.c - a picture of a trace: what lives when, sizes, lifetimes; see info.h */
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/info.h"
#include "migrate/tool/trace/plot.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH  1100
#define HEIGHT 1060

static double x_of(const struct info *info, const struct info_sample *sample)
{
	return info->traits.has_times ? (double)sample->time_ns / 1e9 : (double)sample->operation / 1e6;
}

static void put_data(const struct info *info, FILE *script)
{
	fputs("$live << EOD\n", script);
	for (unsigned i = 0; i < info->samples; i++)
		fprintf(script, "%g %g %g\n", x_of(info, &info->sample[i]),
			(double)info->sample[i].live_bytes / (double)MIB,
			(double)info->sample[i].live_blocks / 1e3);
	fputs("EOD\n$sizes << EOD\n", script);
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct info_class *class = &info->class[i];
		if (!class->allocations)
			continue;
		size_t bytes = i == NEXT_CLASS_HUGE ? 2 * NEXT_CLASS_MAX_BYTES : next_class_bytes(i);
		size_t below = i == 0 ? 8 : next_class_bytes(i - 1);
		fprintf(script, "%zu %zu %g %g\n", below, bytes,
			100 * (double)class->allocations /
				(double)info->class[INFO_ALL].allocations,
			info->peak_bytes ?
				100 * (double)class->at_peak_bytes / (double)info->peak_bytes :
				0);
	}
	fputs("EOD\n$lives << EOD\n", script);
	const struct info_class *all = &info->class[INFO_ALL];
	double unit = info->traits.has_times ? 1e9 : 1;
	for (unsigned i = 1; i < INFO_BUCKETS; i++)
		if (all->lifetime[i])
			fprintf(script, "%g %g %g\n", info_bucket_value(i) / unit,
				(i < INFO_BUCKETS - 1 && i >= 8 ? info_bucket_value(i + 1) :
								  info_bucket_value(i) + 1) /
					unit,
				100 * (double)all->lifetime[i] / (double)all->freed);
	fputs("EOD\n", script);
}

static void put_pictures(const struct info *info, struct plot *plot)
{
	FILE *script = plot->script;
	const struct info_class *all = &info->class[INFO_ALL];

	fputs("set multiplot layout 3,1 title ", script);
	plot_quote(plot, info->path);
	fputs(" font ',15'\nset lmargin 11\nset rmargin 11\n", script);
	fprintf(script,
		"set title 'what lives' font ',13'\nset xlabel '%s'\nset ylabel 'MiB'\n"
		"set yrange [0:*]\nset y2range [0:*]\nset y2tics\nset y2label 'thousand blocks'\n"
		"set key left top\n"
		"plot $live using 1:2 with filledcurves x1 lc rgb '" PLOT_NEW "' fs transparent solid "
		"0.25 noborder title 'bytes', $live using 1:2 with lines lw 1.8 lc rgb '" PLOT_NEW
		"' notitle, $live using 1:3 axes x1y2 with lines lw 1.8 lc rgb '" PLOT_OLD
		"' title 'blocks'\nunset y2tics\nunset y2label\n",
		info->traits.has_times ? "seconds" : "million operations");
	fputs("set title 'sizes' font ',13'\nset xlabel 'bytes'\nset ylabel '% of all'\n"
	      "set logscale x 2\nset xtics ('16' 16, '64' 64, '256' 256, '1k' 1024, '4k' 4096, "
	      "'16k' 16384, '64k' 65536, '256k' 262144, '1m' 1048576, 'huge' 2097152)\n"
	      "set xrange [8:2400000]\nset key right top\n"
	      "plot $sizes using (sqrt($1*$2)):3:($1):($2):(0):3 with boxxyerror fs solid 0.8 "
	      "noborder lc rgb '" PLOT_NEW
	      "' title 'allocations', $sizes using (sqrt($1*$2)):4 with impulses lw 2.4 lc rgb "
	      "'" PLOT_OLD "' title 'bytes at the peak'\n",
	      script);
	if (!all->freed)
		return;
	fprintf(script,
		"set title 'lifetimes of the blocks that were freed' font ',13'\nset xlabel '%s'\n"
		"set logscale x 10\nset xtics auto\nset format x '10^{%%T}'\nset autoscale x\n%s"
		"unset key\n"
		"plot $lives using (sqrt($1*$2)):3:1:2:(0):3 with boxxyerror fs solid 0.8 noborder lc "
		"rgb '" PLOT_NEW "'\n",
		info->traits.has_times ? "seconds" : "operations",
		info->traits.has_times ?
			"set xtics ('1 ns' 1e-9, '10' 1e-8, '100' 1e-7, '1 us' 1e-6, '10' 1e-5, '100' "
			"1e-4, '1 ms' 1e-3, '10' 1e-2, '100' 0.1, '1 s' 1, '10' 10, '100' 100, '1000' "
			"1000)\n" :
			"set format x '%g'\n");
}

bool info_begin_picture(const struct info *info, struct plot *plot)
{
	if (info->class[INFO_ALL].allocations == 0 || !plot_begin(plot, WIDTH, HEIGHT))
		return false;
	put_data(info, plot->script);
	put_pictures(info, plot);
	fputs("unset multiplot\n", plot->script);
	return true;
}

bool info_picture(const char *name, const struct info *info, const char *path)
{
	struct plot plot;
	char words[256];

	if (!info_begin_picture(info, &plot)) {
		tool_error(name, "nothing is allocated in %s: there is nothing to draw", info->path);
		return false;
	}
	if (plot_draw(&plot, path, words))
		return true;
	tool_error(name, "%s", words);
	return false;
}
