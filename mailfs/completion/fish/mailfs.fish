# fish completion for mailfs(1), written from the verbs' parsers.

# Print the operands on the line so far; $argv are options that take an argument.
function __mailfs_operands
    set -l tokens (commandline -opc)[2..]
    set -l want 0
    for token in $tokens
        if test $want = 1
            set want 0
        else if contains -- $token $argv
            set want 1
        else if not string match -q -- '-?*' $token
            printf '%s\n' $token
        end
    end
end

# Whether the verb is $argv[1]; the others are those of $argv[1]'s options that take
# an argument, and behind -- its verb.
function __mailfs_at
    set -l row (string split ' ' -- $argv[1])
    set -l found (__mailfs_operands $argv[2..])
    test (count $found) -ge (count $row); or return 1
    test "$found[1..$(count $row)]" = "$argv[1]"
end

# Whether the operand being typed is number $argv[2] of the verb $argv[1], or later if
# that ends with a +.
function __mailfs_operand
    __mailfs_at $argv[1] $argv[3..]; or return 1
    set -l above (count (string split ' ' -- $argv[1]))
    set -l count (math (count (__mailfs_operands $argv[3..])) - $above + 1)
    if string match -q '*+' -- $argv[2]
        test $count -ge (string trim -c + -- $argv[2])
    else
        test $count -eq $argv[2]
    end
end

function __mailfs_none
    test (count (__mailfs_operands)) -eq 0
end

function __mailfs_service
    set -l ns $NAMESPACE
    if test -z "$ns"
        set -l display :0
        test -n "$DISPLAY"; and set display (string replace -r '\.0$' '' -- $DISPLAY)
        set display (string replace -a / _ -- $display)
        set ns /tmp/ns.$USER.$display
    end
    for socket in $ns/*
        test -S $socket; and path basename $socket
    end
end

# Print what the server says is in the directory of the 9P path being typed.
function __mailfs_path
    set -l typed (commandline -ct)
    set -l dir (string match -r '^.*/' -- $typed)
    set -l tokens (commandline -opc)
    set -l nine
    for i in (seq 2 (count $tokens))
        if contains -- $tokens[$i] -a -A -u
            set -a nine $tokens[$i] $tokens[(math $i + 1)]
        end
    end
    if test -z "$dir" -a -z "$nine"
        printf '%s/\n' (__mailfs_service)
        return
    end
    set -l ahead command
    command -q timeout; and set ahead timeout 5
    set -l list $dir
    test -n "$list"; or set list /
    $ahead mailfs 9p $nine ls -l $list 2>/dev/null </dev/null | while read -la row
        set -l name (string join ' ' -- $row[10..])
        string match -q 'd*' -- $row[1]; and set name $name/
        printf '%s%s\n' $dir $name
    end
end

# Print mailboxes: the forms of accounts, and files.
function __mailfs_mailbox
    set -l typed (commandline -ct)
    set -l name (string match -r '^[^/=]+=' -- $typed)
    set -l rest (string replace -- "$name" '' $typed)
    for form in imap imaps imaptls pop pops poptls apop apops apoptls
        printf '%s/%s/\n' "$name" $form
    end
    printf "$name%s\n" (__fish_complete_path $rest | string replace -r '\t.*' '')
end

complete -c mailfs -f
complete -c mailfs -n __mailfs_none -l help -d 'show the verbs'
complete -c mailfs -n __mailfs_none -l version -d 'show the version'
complete -c mailfs -n __mailfs_none -a fs -d 'serve mailboxes as files over 9P'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s f -x -a '(__mailfs_mailbox)' -d 'a mailbox to open, and what to call it; the first without a name is mbox'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s n -d 'open no default mailbox'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l readonly -d 'change no mailbox'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s d -d 'log more'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s D -d 'log every 9P message'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s p -d 'do not tell the plumber of mail'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s m -x -a '(__fish_complete_directories)' -d 'where the tree is mounted, as the plumber is told; default /mail/fs'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s b -d 'print a line on standard error for each message that comes'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l users -F -r -d 'serve each user in FILE the mailboxes listed there, and no other\'s; a line is user=NAME box=[NAME=]MAILBOX aname=ANAME'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -s l -x -a '(__mailfs_service)' -d 'serve at unix!PATH, tcp!HOST!PORT, tls!HOST!PORT, stdio or a service, and there no more than ANAME; default $NAMESPACE/upasfs'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l cert -F -r -d 'our certificate for tls, in PEM; default sys/lib/tls/cert.pem'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l key -F -r -d 'its key, in PEM or as rsagen prints it; default sys/lib/tls/key, or in the file of --cert'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l cache -x -d 'octets of fetched mail to keep on disk, as 500M or 2G; default 1G'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l trust -x -a 'ca thumbprint' -d 'what may speak for a server\'s certificate: the list of thumbprints and CAs (ca, the default), or the list alone'
complete -c mailfs -n '__mailfs_at \'fs\' -f -m --users -l --cert --key --cache --trust --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a index -d 'build or update a mailbox\'s index'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l readonly -d 'change no mailbox'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l report -d 'tell the progress, one line a step'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l indexes -x -a '(__fish_complete_directories)' -d 'where indexes and the cache lie; default $XDG_CACHE_HOME/mailfs'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l bodies -d 'fetch whole messages from a server, to be read without it'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l owner -x -d 'whose the mailbox is: nothing else of it is read or followed'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l cache -x -d 'octets of fetched mail to keep on disk, as 500M or 2G; default 1G'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l trust -x -a 'ca thumbprint' -d 'what may speak for a server\'s certificate: the list of thumbprints and CAs (ca, the default), or the list alone'
complete -c mailfs -n '__mailfs_at \'index\' --indexes --owner --cache --trust --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n '__mailfs_operand \'index\' 1 --indexes --owner --cache --trust --root' -x -a '(__mailfs_mailbox)'
complete -c mailfs -n __mailfs_none -a 9p -d 'read and write the files of a 9P server'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -s a -x -a '(__mailfs_service)' -d 'dial ADDR'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -s A -x -d 'attach to that tree'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -s u -x -d 'attach as USER; default: who we are'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -s n -d 'ignored: do not authenticate'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -l cert -F -r -d 'for tls: the certificate we are known by, in PEM; default sys/lib/tls/client.pem, if it is there'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -l key -F -r -d 'its key, in PEM or as rsagen prints it; default sys/lib/tls/client.key, or in the file of --cert'
complete -c mailfs -n '__mailfs_at \'9p\' -a -A -u --cert --key --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n '__mailfs_operand \'9p\' 1 -a -A -u --cert --key --root' -x -a 'ls read write stat rdwr create rm'
complete -c mailfs -n '__mailfs_at \'9p ls\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'9p ls\' -a -A -u --cert --key --root' -s l -d 'tell more'
complete -c mailfs -n '__mailfs_at \'9p ls\' -a -A -u --cert --key --root' -s d -d 'not what is in it'
complete -c mailfs -n '__mailfs_at \'9p ls\' -a -A -u --cert --key --root' -s t -d 'oldest first'
complete -c mailfs -n '__mailfs_at \'9p ls\' -a -A -u --cert --key --root' -s n -d 'in the server\'s order'
complete -c mailfs -n '__mailfs_operand \'9p ls\' 1+ -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p read\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'9p read\' 1 -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p write\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'9p write\' -a -A -u --cert --key --root' -s l -d 'line by line'
complete -c mailfs -n '__mailfs_operand \'9p write\' 1 -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p stat\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'9p stat\' 1 -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p rdwr\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'9p rdwr\' 1 -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p create\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'9p create\' 1+ -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n '__mailfs_at \'9p rm\' -a -A -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'9p rm\' 1+ -a -A -u --cert --key --root' -x -a '(__mailfs_path)'
complete -c mailfs -n __mailfs_none -a mount -d 'mount a 9P server on a directory, by FUSE'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -s a -x -a '(__mailfs_service)' -d 'mount the server at unix!PATH, tcp!HOST!PORT, tls!HOST!PORT or a service'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -s A -x -d 'attach to that tree; default upas/all, if the server knows it'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -s f -d 'stay in the foreground'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l start -x -a '(__mailfs_mailbox)' -d 'start a server of this mailbox for the mount alone; may be repeated'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l readonly -d 'with --start: change no mailbox'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -s u -x -d 'attach as USER; default: who we are'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l cert -F -r -d 'for tls: the certificate we are known by, in PEM; default sys/lib/tls/client.pem, if it is there'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l key -F -r -d 'its key, in PEM or as rsagen prints it; default sys/lib/tls/client.key, or in the file of --cert'
complete -c mailfs -n '__mailfs_at \'mount\' -a -A --start -u --cert --key --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n '__mailfs_operand \'mount\' 1 -a -A --start -u --cert --key --root' -x -a '(__fish_complete_directories)'
complete -c mailfs -n __mailfs_none -a demo -d 'serve a sample mailbox and show what can be done with it'
complete -c mailfs -n '__mailfs_at \'demo\' --port' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'demo\' --port' -l once -d 'exit after the tour'
complete -c mailfs -n '__mailfs_at \'demo\' --port' -l port -x -d 'TCP port; default 5640, or any if that is taken'
complete -c mailfs -n __mailfs_none -a doctor -d 'look for what is wrong, and tell how to mend it'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -s f -x -a '(__mailfs_mailbox)' -d 'look at this mailbox or account too; may be repeated'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -s q -l quiet -d 'tell only what is not ok'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -l timeout -x -d 'for each answer of a server; default 10'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -l trust -x -a 'ca thumbprint' -d 'what may speak for a certificate, as mailfs fs is told; default ca'
complete -c mailfs -n '__mailfs_at \'doctor\' -f --timeout --trust --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a man -d 'show a page of the manual'
complete -c mailfs -n '__mailfs_at \'man\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'man\'' -s w -d 'print where it lies, as man -w'
complete -c mailfs -n '__mailfs_operand \'man\' 1' -x -a 'mailfs 4 fs index 9p mount demo doctor man completion factotum secstore secstored secuser trust rsagen rsa2x509 rsa2csr rsa2pub asn12rsa pemencode pemdecode secretpem ramfs mail marshal send aliasmail ndbquery qer runq kickqueue queue smtp setup smtpd'
complete -c mailfs -n __mailfs_none -a completion -d 'print what a shell needs to complete our command lines'
complete -c mailfs -n '__mailfs_at \'completion\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'completion\' 1' -x -a 'bash zsh fish'
complete -c mailfs -n __mailfs_none -a factotum -d 'hold keys and speak authentication protocols'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s f -F -r -d 'read control messages from FILE, which nobody else may read'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l keyring -d 'read them from the desktop\'s keyring'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s s -l secstore -x -d 'read them from the file factotum of a secstore; default $secstore'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s n -d 'ask no secstore'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l service -x -d 'what to be posted as (-s in factotum(4)); default factotum'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s a -x -d 'the authentication server; default $auth'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s d -d 'log more'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s p -d 'do not keep debuggers, core dumps and swap from the memory'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -s g -x -d 'ask for a key and add it'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l oauth -x -d 'get a token from google, microsoft or an issuer\'s URL, and add it'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l clientid -x -d 'what the provider calls us'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l flow -x -a 'loopback paste device' -d 'how to agree: by a browser here, one elsewhere, a code typed elsewhere'
complete -c mailfs -n '__mailfs_at \'factotum\' -f -s --secstore --service -a -g --oauth --clientid --flow --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a secstore -d 'fetch and store secrets'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s g -x -d 'fetch it into the current directory; . lists'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s G -x -d 'fetch it to standard output'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s p -x -d 'store a local file under its last name'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s P -x -d 'store standard input under that name'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s r -x -d 'remove it'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s e -x -d 'edit it in memory with $EDITOR'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s c -d 'change the password'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s i -d 'password on standard input'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s s -x -d 'tcp!HOST!PORT or a host; default $secstore, else the host secstore'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s u -x -d 'default: you'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s v -d 'say more; a check word too'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -l form -x -a 'keep sealed plan9' -d 'how to store: sealed (AES-GCM under scrypt), plan9 (what Plan 9\'s programs read), or as it is on the server, sealed if it is new'
complete -c mailfs -n '__mailfs_at \'secstore\' -g -G -p -P -r -e -s -u --form' -s 9 -d '--form plan9'
complete -c mailfs -n __mailfs_none -a secstored -d 'serve secrets'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s d -x -a '(__fish_complete_directories)' -d 'where files lie; default adm/secstore below the root'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s s -x -d 'default tcp!*!5356'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s S -x -d 'what the server calls itself; default: its host'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s v -d 'log more'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s x -x -d 'for old command lines; there is one network here'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -s R -d 'refused: tokens cannot be checked here'
complete -c mailfs -n '__mailfs_at \'secstored\' -d -s -S -x --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a secuser -d 'make or change an account of secstored'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -s 9 -d 'for Plan 9\'s clients too: the server\'s files then give a thief the password sooner'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -l stretched -d 'not for Plan 9\'s clients: what a new account is; an old one stays as it was'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -s i -d 'password on standard input; everything else as it is, or the default'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -s d -x -a '(__fish_complete_directories)' -d 'where files lie; default adm/secstore below the root'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -s v -d 'say more'
complete -c mailfs -n '__mailfs_at \'secuser\' -d --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a trust -d 'show a server\'s certificate and trust it'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -s y -l yes -d 'add without asking'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -l key -d 'list the public key, which may outlive the certificate'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -l any -d 'trust it under every host name'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -l timeout -x -d 'per step'
complete -c mailfs -n '__mailfs_at \'trust\' --timeout --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a rsagen -d 'make an RSA key'
complete -c mailfs -n '__mailfs_at \'rsagen\' -b -t' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'rsagen\' -b -t' -s b -x -d 'default 2048'
complete -c mailfs -n '__mailfs_at \'rsagen\' -b -t' -s t -x -d 'attributes to put after proto=rsa'
complete -c mailfs -n __mailfs_none -a rsa2x509 -d 'make a self-signed certificate'
complete -c mailfs -n '__mailfs_at \'rsa2x509\' -e' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'rsa2x509\' -e' -s e -x -d 'lifetime; default three years'
complete -c mailfs -n '__mailfs_operand \'rsa2x509\' 2 -e' -F -r
complete -c mailfs -n __mailfs_none -a rsa2csr -d 'make a certificate signing request'
complete -c mailfs -n '__mailfs_at \'rsa2csr\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'rsa2csr\' 2' -F -r
complete -c mailfs -n __mailfs_none -a rsa2pub -d 'print the public half of an RSA key'
complete -c mailfs -n '__mailfs_at \'rsa2pub\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'rsa2pub\' 1' -F -r
complete -c mailfs -n __mailfs_none -a asn12rsa -d 'read an RSA key in DER'
complete -c mailfs -n '__mailfs_at \'asn12rsa\' -t' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'asn12rsa\' -t' -s t -x -d 'attributes to put after proto=rsa'
complete -c mailfs -n '__mailfs_operand \'asn12rsa\' 1 -t' -F -r
complete -c mailfs -n __mailfs_none -a pemencode -d 'write octets as PEM'
complete -c mailfs -n '__mailfs_at \'pemencode\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'pemencode\' 2' -F -r
complete -c mailfs -n __mailfs_none -a pemdecode -d 'read octets from PEM'
complete -c mailfs -n '__mailfs_at \'pemdecode\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_operand \'pemdecode\' 2' -F -r
complete -c mailfs -n __mailfs_none -a secretpem -d 'write a secret RSA key as PEM'
complete -c mailfs -n '__mailfs_at \'secretpem\'' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'secretpem\'' -s 8 -d 'as PRIVATE KEY (PKCS #8) instead of RSA PRIVATE KEY (PKCS #1)'
complete -c mailfs -n '__mailfs_operand \'secretpem\' 1' -F -r
complete -c mailfs -n __mailfs_none -a ramfs -d 'serve a file system in memory'
complete -c mailfs -n '__mailfs_at \'ramfs\' -l' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'ramfs\' -l' -s l -x -d 'serve on unix!PATH, tcp!HOST!PORT, stdio or a service name; may be repeated; default ramfs'
complete -c mailfs -n '__mailfs_at \'ramfs\' -l' -s D -d 'trace messages'
complete -c mailfs -n __mailfs_none -a mail -d 'send mail: mailfs mail ADDR ...'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s s -x -d 'if the text has none'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s C -x -d 'a copy to'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s B -x -d 'blind copy'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s a -F -r -d 'attach a file'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s A -F -r -d 'one to be shown'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s t -x -d 'media type of the files after it'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s n -d 'there is no standard input'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s R -x -a '(__fish_complete_directories)' -d 'reply to the message in DIR'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -l all -d 'and to all who got that message'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s 8 -d 'To, Cc and Bcc in the text count'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s S -x -a '(__mailfs_mailbox)' -d 'save a copy there'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s F -d 'save one named by recipient'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s p -x -d 'sign, encrypt with OpenPGP'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s x -d 'show addresses, send nothing'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s '#' -d 'show commands, send nothing'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s r -d 'passed on to send'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -s d -d 'passed on to send'
complete -c mailfs -n '__mailfs_at \'mail\' -s -C -B -a -A -t -R -S -p --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a marshal -d 'make a message of a text and files, and send it'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s s -x -d 'if the text has none'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s C -x -d 'a copy to'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s B -x -d 'blind copy'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s a -F -r -d 'attach a file'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s A -F -r -d 'one to be shown'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s t -x -d 'media type of the files after it'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s n -d 'there is no standard input'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s R -x -a '(__fish_complete_directories)' -d 'reply to the message in DIR'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -l all -d 'and to all who got that message'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s 8 -d 'To, Cc and Bcc in the text count'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s S -x -a '(__mailfs_mailbox)' -d 'save a copy there'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s F -d 'save one named by recipient'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s p -x -d 'sign, encrypt with OpenPGP'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s x -d 'show addresses, send nothing'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s '#' -d 'show commands, send nothing'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s r -d 'passed on to send'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -s d -d 'passed on to send'
complete -c mailfs -n '__mailfs_at \'marshal\' -s -C -B -a -A -t -R -S -p --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a send -d 'deliver a message to addresses; stands in for sendmail'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s b -d 'add no To: line'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s x -d 'print where addresses lead'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s '#' -d 'print what would be run'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s r -d 'from a program: From_ lines give sender and date, nothing is added'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s t -d 'to whom To, Cc and Bcc say'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s f -x -d 'envelope sender; <> for nobody'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s F -x -d 'full name, for From:'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -l dot -d 'a line with only . ends the message'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -s d -d 'say what becomes of each'
complete -c mailfs -n '__mailfs_at \'send\' -f -F --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a aliasmail -d 'look names up in the alias files'
complete -c mailfs -n '__mailfs_at \'aliasmail\' -n --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'aliasmail\' -n --root' -s f -d 'print the domain that mail from NAME goes out under'
complete -c mailfs -n '__mailfs_at \'aliasmail\' -n --root' -s n -F -r -d 'not namefiles'
complete -c mailfs -n '__mailfs_at \'aliasmail\' -n --root' -s d -d 'name the files'
complete -c mailfs -n '__mailfs_at \'aliasmail\' -n --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a ndbquery -d 'search the network database'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -s a -d 'of every entry, every value'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -s m -d 'of the first entry, every value'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -s i -d 'of its networks as well'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -s f -F -r -d 'search it'
complete -c mailfs -n '__mailfs_at \'ndbquery\' -f --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a qer -d 'put a message into the queue'
complete -c mailfs -n '__mailfs_at \'qer\' -q -f' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'qer\' -q -f' -s q -x -d 'the directory; default the user\'s'
complete -c mailfs -n '__mailfs_at \'qer\' -q -f' -s f -F -r -d 'queue a copy of this file too'
complete -c mailfs -n '__mailfs_operand \'qer\' 1 -q -f' -x -a '(__fish_complete_directories)'
complete -c mailfs -n __mailfs_none -a runq -d 'deliver what is in the queue'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s a -d 'every directory of the queue, not only the user\'s'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s d -d 'show the dialogue with servers on standard error'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s E -d 'whatever the time of the last attempt; give nothing up'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s R -d 'try failed messages again, too'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s s -d 'accepted; one process at a time has a message anyway'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -l watch -d 'go on: new messages as they come, others when due'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s q -x -a '(__fish_complete_directories)' -d 'this directory only'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s t -x -d 'after which to give up; default 120'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s n -x -d 'messages under way at once; default 20'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -l per-host -x -d 'of them to one host; default 5'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s l -x -d 'accepted, no effect'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -s r -x -d 'accepted, no effect'
complete -c mailfs -n '__mailfs_at \'runq\' -q -t -n --per-host -l -r --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n '__mailfs_operand \'runq\' 1 -q -t -n --per-host -l -r --root' -x -a '(__fish_complete_directories)'
complete -c mailfs -n '__mailfs_operand \'runq\' 2 -q -t -n --per-host -l -r --root' -F -r
complete -c mailfs -n __mailfs_none -a kickqueue -d 'try everything in the queue now'
complete -c mailfs -n '__mailfs_at \'kickqueue\' --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'kickqueue\' --root' -s a -l all -d 'all users\' mail, not only mine'
complete -c mailfs -n '__mailfs_at \'kickqueue\' --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a queue -d 'show what is in the queue, hold it, remove it'
complete -c mailfs -n '__mailfs_at \'queue\' --queue --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'queue\' --queue --root' -s l -l attrs -d 'as attr=value'
complete -c mailfs -n '__mailfs_at \'queue\' --queue --root' -l queue -x -a '(__fish_complete_directories)' -d 'default ROOT/mail/queue'
complete -c mailfs -n '__mailfs_at \'queue\' --queue --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n '__mailfs_operand \'queue\' 1 --queue --root' -x -a 'list show hold release remove'
complete -c mailfs -n __mailfs_none -a smtp -d 'deliver one message to a mail server'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s a -l auth -d 'authenticate, if the server knows how; TLS is needed'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s A -l silent -d 'the server says nothing until it is spoken to'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s d -l debug -d 'show the dialogue on standard error'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s i -l insecure -d 'with -a: authenticate even without TLS'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s o -l unverified -d 'take a server\'s certificate whoever it names'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s p -l ping -d 'stop after the recipients; shorter timeouts'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s s -l starttls -d 'send only over TLS, to a server that is trusted'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s t -l tls -d 'TLS from the first octet, as on port 465'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l strict -d 'trust thumbprints only, whatever authorities say'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s b -l busted -x -d 'never use this mail server; may be repeated'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s g -l gateway -x -d 'try it if the destination has no server'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s h -l domain -x -d 'our domain, for addresses that have none'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s u -l user -x -d 'whose key to authenticate with'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l notify -x -d 'DSN: never, or success,failure,delay; RFC 3461'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l ret -x -d 'DSN: full or hdrs'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l envid -x -d 'DSN: an id of ours, for the reports'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -s f -l filter -d 'write the message as it would be sent, and send nothing'
complete -c mailfs -n '__mailfs_at \'smtp\' -b --busted -g --gateway -h --domain -u --user --notify --ret --envid --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a setup -d 'set up an account by asking: the mail warlock'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l name -x -d 'your name, as From: shows it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l address -x -d 'your mail address'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l provider -x -d 'gmail, fastmail, ...; own for no such'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l imap -x -d 'where mail is read: HOST, /imaptls/HOST, /pops/tcp!HOST!PORT, ... or none'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l smtp -x -d 'where mail is sent: HOST, /submission/HOST, /smtp/HOST without a login; direct for each domain\'s own server; or none: leave sending as it is'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l user -x -d 'who logs in'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l smtp-user -x -d 'who logs in to send, if another'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l auth -x -d 'log in by password, oauth, or a key there is'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l oauth -x -d 'google, microsoft or an issuer\'s URL'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l clientid -x -d 'what the OAuth2 provider calls us'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l flow -x -d 'agree by loopback, paste or device'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l trust -x -d 'trust the certificate with this SHA-256; first for what is shown'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l keys -x -d 'keep keys in file, keyring, secstore or none'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l secstore -x -d 'which secstore'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l mailbox -x -d 'what to call the mailbox; default mbox'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l folders -x -d 'open inbox, or all folders of IMAP'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l bare -x -d 'a name without @: local, or of your domain'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l dom -x -d 'this machine\'s full name, if it has one'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l later -l no-later -d 'queue only; kickqueue or runq sends'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l ispdb -l no-ispdb -d 'ask Mozilla\'s list about the domain'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l start -l no-start -d 'start the servers that do not run yet'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l units -l no-units -d 'write systemd user units that run them'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l test -l no-test -d 'send a mail to yourself and wait for it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l password-file -F -r -d 'whose first line is the password; nobody else may read it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l password-fd -x -d 'or a descriptor to read that line from'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l smtp-password-file -F -r -d 'whose first line is the one for sending, if it is another; nobody else may read it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l smtp-password-fd -x -d 'or a descriptor to read that line from'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l client-password-file -F -r -d 'whose first line is the secret of --clientid; nobody else may read it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l client-password-fd -x -d 'or a descriptor to read that line from'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l secstore-password-file -F -r -d 'whose first line is the secstore\'s password; nobody else may read it'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l secstore-password-fd -x -d 'or a descriptor to read that line from'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -s y -l yes -d 'ask nothing: what is usual will do'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l overwrite -d 'with -y: lines of files may go'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -s n -l rehearse -d 'log in and show what would be written, and write nothing'
complete -c mailfs -n '__mailfs_at \'setup\' --name --address --provider --imap --smtp --user --smtp-user --auth --oauth --clientid --flow --trust --keys --secstore --mailbox --folders --bare --dom --password-file --password-fd --smtp-password-file --smtp-password-fd --client-password-file --client-password-fd --secstore-password-file --secstore-password-fd --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
complete -c mailfs -n __mailfs_none -a smtpd -d 'take mail from other machines and programs'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -l help -d 'tell more'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s l -x -d 'listen at tcp!HOST!PORT, tls!HOST!PORT or unix!PATH; default tcp!*!25, tcp!*!2525 for a user who is not root'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -l lmtp -x -d 'take LMTP at unix!PATH or a loopback address'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s c -F -r -d 'our certificate, in PEM'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s K -F -r -d 'its key, as PEM or as rsagen prints it; default in the file of -c'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s h -x -d 'our name; default defaultdomain'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s k -x -d 'hang up on clients there without a word'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s a -d 'whoever is not in ournets has to log in before MAIL'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s d -d 'log more'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s e -d 'do not look whether HELO\'s name may be true'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s f -d 'relay for nobody outside ournets; so it is anyway'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s g -d 'put off strangers\' first calls'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s p -d 'let passwords come without TLS; from here they always may'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s s -d 'keep messages that are blocked, in mail/queue.dump'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -s r -d 'accepted, no effect, as in upas'
complete -c mailfs -n '__mailfs_at \'smtpd\' -l --lmtp -c -K -h -k --root' -l root -x -a '(__fish_complete_directories)' -d 'where Plan 9 paths lie; default $MAILFS_ROOT, else ~/.local/share/mailfs'
