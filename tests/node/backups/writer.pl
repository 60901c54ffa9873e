# Commits one row after another into one of many tables until /run/writer.stop is there, and writes down when each commit was done:
# a gap between two lines is what a lock did to a writer, in seconds of CLOCK_MONOTONIC.
use strict;
use DBI;
use IO::Handle;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my $tables = 20;
my $db = DBI->connect('DBI:mysql:database=shop', 'root', '', { RaiseError => 1 });
$db->do("CREATE TABLE IF NOT EXISTS t$_ (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)") for 1 .. $tables;
open my $log, '>', '/run/writer.log' or die;
$log->autoflush(1);
for (my $n = 0; !-e '/run/writer.stop'; $n++) {
    my $t = 1 + $n % $tables;
    $db->do("INSERT INTO t$t (v) VALUES (REPEAT(MD5(RAND()), 8))");
    # Rows go, too: the data stays small however long this runs.
    $db->do("DELETE FROM t$t WHERE id + 100 < LAST_INSERT_ID()") if int($n / $tables) % 10 == 9;
    printf $log "%.6f\n", clock_gettime(CLOCK_MONOTONIC);
}
