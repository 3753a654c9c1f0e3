# SPDX-License-Identifier: MIT
# tests/programs.d/workload.pl - the perl row: hashes, sorting, text, packing, interpreter threads
#
# workload.pl SCALE prints one checksum a part. Keys are sorted before they are hashed.
use strict;
use warnings;
use threads;
use Digest::SHA qw(sha256_hex);

my $scale = shift;
my $state = 1;

# Our own generator: rand() is not the same everywhere.
sub rnd { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0]; }
sub show { my ($part, @what) = @_; print "$part ", sha256_hex(join "\0", @what), "\n"; }

my %table;
for my $n (1 .. 60_000 * $scale) {
    my $key = sprintf "k%x", rnd(20_000);
    push @{ $table{$key}{list} }, $n;
    $table{$key}{text} .= chr(97 + $n % 26) x rnd(40);
    delete $table{ sprintf "k%x", rnd(20_000) } if $n % 5 == 0;
}
show "hash", map { ($_, $table{$_}{text}, @{ $table{$_}{list} }) } sort keys %table;

my $text = join " ", map { join "", map { chr(97 + rnd(6)) } 0 .. rnd(12) } 1 .. 30_000 * $scale;
my %seen;
$seen{$1}++ while $text =~ /\b([a-c]+[def])/g;
(my $swapped = $text) =~ s/(\w)(\w+)/$2$1/g;
show "regex", $swapped, map { "$_=$seen{$_}" } sort keys %seen;
show "sort", sort { length $a <=> length $b or $a cmp $b } split / /, $text;

my $packed = "";
$packed .= pack "w/a N n", "x" x rnd(900), $_, $_ & 0xffff for 1 .. 5_000 * $scale;
show "pack", $packed, unpack "(w/a N n)*", $packed;

# A thread clones the whole interpreter, and frees it when it ends.
delete @table{ (sort keys %table)[2_000 .. keys(%table) - 1] };
my @workers = map {
    my $share = $_;
    threads->create(sub {
        sha256_hex(join ",", map { $share, reverse @{ $table{$_}{list} } } sort keys %table);
    });
} 1 .. 4;
show "threads", map { $_->join } @workers;
