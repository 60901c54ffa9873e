# Takes what is told by HTTP (port 8080) and by mail (port 2525), and appends it to a file: as much of both protocols as that needs.
use strict;
use warnings;
use IO::Socket::INET;

my $told = shift;

sub keep {
    open my $file, '>>', $told or die;
    print $file @_;
    close $file;
}

sub http {
    my $peer = shift;
    my $length = 0;
    while (my $line = <$peer>) {
        $length = $1 if $line =~ /^content-length: *(\d+)/i;
        last if $line =~ /^\r?\n$/;
    }
    my $body;
    read $peer, $body, $length;
    keep("http: $body\n");
    print $peer "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}

sub smtp {
    my $peer = shift;
    print $peer "220 receiver ESMTP\r\n";
    while (my $line = <$peer>) {
        if ($line =~ /^DATA/i) {
            print $peer "354 go on\r\n";
            while (defined($line = <$peer>) && $line ne ".\r\n") {
                keep("mail: $line");
            }
        }
        print $peer $line =~ /^QUIT/i ? "221 bye\r\n" : "250 ok\r\n";
        last if $line =~ /^QUIT/i;
    }
}

$SIG{CHLD} = 'IGNORE';
for ([8080, \&http], [2525, \&smtp]) {
    my ($port, $speak) = @$_;
    next if fork;
    # It ends by itself, whatever becomes of the test.
    alarm 1800;
    my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 5, ReuseAddr => 1) or die "port $port: $!";
    while (my $peer = $server->accept) {
        next if fork;
        $peer->autoflush;
        $speak->($peer);
        exit;
    }
}
