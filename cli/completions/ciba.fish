# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ciba_global_optspecs
    string join \n profile= url= resource= no-browser qr h/help V/version
end

function __fish_ciba_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ciba_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ciba_using_subcommand
    set -l cmd (__fish_ciba_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ciba -n "__fish_ciba_needs_command" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_needs_command" -l url -d 'Log in at this server, print one token and keep nothing' -r
complete -c ciba -n "__fish_ciba_needs_command" -l resource -d 'Resource the token is for [env: CIBA_RESOURCE]' -r
complete -c ciba -n "__fish_ciba_needs_command" -l no-browser -d 'Print the page\'s address, and leave the browser alone'
complete -c ciba -n "__fish_ciba_needs_command" -l qr -d 'Show the page\'s address as a QR code'
complete -c ciba -n "__fish_ciba_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ciba -n "__fish_ciba_needs_command" -s V -l version -d 'Print version'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "start" -d 'Log in at a server and keep the session'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "token" -d 'Print an access token that is valid now'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "add" -d 'Get a token of one more resource, ahead of need'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "status" -d 'Show logins and the tokens in memory'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "watch" -d 'Print what happens to logins and tokens until interrupted'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "stop" -d 'Log out: end the session here and on the server'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "doctor" -d 'Check what ciba needs, and say what to do'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "logs" -d 'Show the log of the daemon'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "restart" -d 'Let the installed cibad take over, with every session'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "service" -d 'Run cibad as a user service (systemd, launchd)'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "completions" -d 'Print what makes a shell complete commands and options'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "man" -d 'Show a manual page'
complete -c ciba -n "__fish_ciba_using_subcommand start" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand start" -l url -d 'Server to log in at [env: CIBA_URL]' -r
complete -c ciba -n "__fish_ciba_using_subcommand start" -l resource -d 'Resource of the first token [env: CIBA_RESOURCE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand start" -l keychain -d 'Where to keep the login [env: CIBA_KEYCHAIN]' -r -f -a "secret-service\t''
kernel\t''
macos\t''
memory\t''"
complete -c ciba -n "__fish_ciba_using_subcommand start" -l no-browser -d 'Print the page\'s address, and leave the browser alone'
complete -c ciba -n "__fish_ciba_using_subcommand start" -l qr -d 'Show the page\'s address as a QR code'
complete -c ciba -n "__fish_ciba_using_subcommand start" -l json -d 'Print what happens as JSON, one object a line'
complete -c ciba -n "__fish_ciba_using_subcommand start" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand token" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand token" -l resource -d 'Resource the token is for [env: CIBA_RESOURCE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand token" -l min-valid -d 'Time the token must still be valid: 60, 60s, 5m, 1h' -r
complete -c ciba -n "__fish_ciba_using_subcommand token" -l header -d 'Print `Authorization: Bearer TOKEN`'
complete -c ciba -n "__fish_ciba_using_subcommand token" -l json -d 'Print a JSON object with the token and what is known of it'
complete -c ciba -n "__fish_ciba_using_subcommand token" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand add" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand add" -l resource -d 'Resource to add [env: CIBA_RESOURCE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand add" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand add" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand status" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand status" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand status" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand watch" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand watch" -l json -d 'Print JSON, one object a line'
complete -c ciba -n "__fish_ciba_using_subcommand watch" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand stop" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand stop" -l all -d 'End every session'
complete -c ciba -n "__fish_ciba_using_subcommand stop" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand doctor" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand doctor" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand logs" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand logs" -s n -l lines -d 'Lines to begin with' -r
complete -c ciba -n "__fish_ciba_using_subcommand logs" -s f -l follow -d 'Go on with what is written from now on, until interrupted'
complete -c ciba -n "__fish_ciba_using_subcommand logs" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand restart" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand restart" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status" -f -a "install" -d 'Let the service manager listen for clients and run cibad, from now on and at every login'
complete -c ciba -n "__fish_ciba_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status" -f -a "uninstall" -d 'Undo what install did; logins in a keychain stay'
complete -c ciba -n "__fish_ciba_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status" -f -a "status" -d 'Show whether the service is there'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from install" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from install" -l print -d 'Show what would be written and run, and do nothing'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from install" -l force -d 'End logins that no keychain keeps, too'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from install" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from uninstall" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from uninstall" -l force -d 'End logins that no keychain keeps, too'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from uninstall" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from status" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from status" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand service; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand completions" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand completions" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand man" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand man" -s h -l help -d 'Print help'
