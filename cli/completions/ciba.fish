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
complete -c ciba -n "__fish_ciba_needs_command" -f -a "request" -d 'Ask a person for approval at an OpenID provider (CIBA), and print the token'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "client" -d 'Keep the credentials of clients for `ciba request`'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "approvals" -d 'Show the requests that wait for your decision'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "approve" -d 'Give a client what it asks you for'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "deny" -d 'Refuse a client what it asks you for'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "allow" -d 'Let the tools give a host its token: write a rule'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "config" -d 'Show the configuration and its rules'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "audit" -d 'Show which tokens were handed out'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "exec" -d 'Run a program with a token in its environment'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "curl" -d 'Run curl with the token of the URL\'s rule'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "curlrc" -d 'Print a URL\'s token as a line for `curl -K -`'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "netrc" -d 'Print a host\'s token as a line of a netrc file'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "forward" -d 'Pass tokens of named resources on to another machine'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "git" -d 'Let git get tokens from ciba'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "docker" -d 'Let docker get tokens from ciba'
complete -c ciba -n "__fish_ciba_needs_command" -f -a "kube" -d 'Let kubectl get tokens from ciba'
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
complete -c ciba -n "__fish_ciba_using_subcommand token" -l bearer -d 'Print `Bearer TOKEN`, the value of that header, as cargo:token-from-stdout takes it'
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
complete -c ciba -n "__fish_ciba_using_subcommand request" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l issuer -d 'Issuer URL of the provider, exactly as it names itself' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l client-id -d 'Name of the client at the provider' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l client-secret-file -d 'File with the client secret; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l client-key-file -d 'File with the client\'s private key as PEM (P-256 or RSA), for private_key_jwt; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l client-auth -d 'How the secret is shown to the provider [default: client_secret_basic]' -r -f -a "client_secret_basic\t''
client_secret_post\t''"
complete -c ciba -n "__fish_ciba_using_subcommand request" -l login-hint -d 'Name of the person, as the provider knows it' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l login-hint-token-file -d 'File with a token that names the person; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l id-token-hint-file -d 'File with an ID token of the person; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l scope -d 'What to ask for, with spaces between; openid has to be among it' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l binding-message -d 'Text that the person sees where they approve, to compare' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l requested-expiry -d 'Time after which the request should lapse: 120, 120s, 5m' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l acr-values -d 'Wanted authentication contexts, with spaces between' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l resource -d 'Service the token is for; may be given again' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l authorization-details -d 'File with a JSON array that says exactly what is to be allowed; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l user-code-file -d 'File with the code that only the person knows; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand request" -l mode -d 'How the daemon learns of the decision: poll asks again and again, ping is told as well' -r -f -a "poll\t''
ping\t''"
complete -c ciba -n "__fish_ciba_using_subcommand request" -l ping-listen -d 'Address of this machine where the provider\'s ping arrives, behind the public URL that the client has registered' -r
complete -c ciba -n "__fish_ciba_using_subcommand request" -l json -d 'Print a JSON object with everything that the provider gave'
complete -c ciba -n "__fish_ciba_using_subcommand request" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "add" -d 'Keep a client\'s secret or key; the secret is asked for, or read from standard input'
complete -c ciba -n "__fish_ciba_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "list" -d 'Show the clients whose credentials are kept'
complete -c ciba -n "__fish_ciba_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "remove" -d 'Forget a client\'s credential'
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l issuer -d 'Issuer URL of the provider, exactly as it names itself' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l client-id -d 'Name of the client at the provider' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l client-secret-file -d 'File with the client secret; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l client-key-file -d 'File with the client\'s private key as PEM (P-256 or RSA), for private_key_jwt; - is standard input' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l client-auth -d 'How the secret is shown to the provider [default: client_secret_basic]' -r -f -a "client_secret_basic\t''
client_secret_post\t''"
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l keychain -d 'Where to keep it [env: CIBA_KEYCHAIN]' -r -f -a "secret-service\t''
kernel\t''
macos\t''
memory\t''"
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from list" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from list" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from remove" -l issuer -d 'Issuer URL of the provider, exactly as it names itself' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from remove" -l client-id -d 'Name of the client at the provider' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from remove" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand client; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand approvals" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand approvals" -l json -d 'Print a JSON object for each'
complete -c ciba -n "__fish_ciba_using_subcommand approvals" -l watch -d 'Print each as it comes and goes, until interrupted'
complete -c ciba -n "__fish_ciba_using_subcommand approvals" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand approve" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand approve" -l no-browser -d 'Print the address of a page, and leave the browser alone'
complete -c ciba -n "__fish_ciba_using_subcommand approve" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand deny" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand deny" -l no-browser -d 'Print the address of a page, and leave the browser alone'
complete -c ciba -n "__fish_ciba_using_subcommand deny" -s y -l yes -d 'Do not ask first'
complete -c ciba -n "__fish_ciba_using_subcommand deny" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l resource -d 'Resource the token is for' -r
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l tool -d 'Tool that may ask, every tool without it; may be given again' -r
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l scheme -d 'How the token is shown' -r -f -a "bearer\t''
basic\t''
auto\t''"
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l username -d 'User name beside the token, where it is shown as Basic' -r
complete -c ciba -n "__fish_ciba_using_subcommand allow" -l confirm -d 'Ask a person each time before the token leaves'
complete -c ciba -n "__fish_ciba_using_subcommand allow" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand config; and not __fish_seen_subcommand_from check show path" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand config; and not __fish_seen_subcommand_from check show path" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand config; and not __fish_seen_subcommand_from check show path" -f -a "check" -d 'Say whether the configuration that cibad has read is right'
complete -c ciba -n "__fish_ciba_using_subcommand config; and not __fish_seen_subcommand_from check show path" -f -a "show" -d 'Print the rules in the order in which they are tried'
complete -c ciba -n "__fish_ciba_using_subcommand config; and not __fish_seen_subcommand_from check show path" -f -a "path" -d 'Print the path of the file'
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from check" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print a JSON object'
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from path" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand audit" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand audit" -s n -l lines -d 'Entries to show, the last ones' -r
complete -c ciba -n "__fish_ciba_using_subcommand audit" -s f -l follow -d 'Go on with the tokens that are handed out from now on, until interrupted'
complete -c ciba -n "__fish_ciba_using_subcommand audit" -l json -d 'Print a JSON object for each'
complete -c ciba -n "__fish_ciba_using_subcommand audit" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand exec" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand exec" -l resource -d 'Resource the token is for [env: CIBA_RESOURCE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand exec" -l min-valid -d 'Time the token must still be valid: 60, 60s, 5m, 1h' -r
complete -c ciba -n "__fish_ciba_using_subcommand exec" -l env -d 'Variable that holds the token' -r
complete -c ciba -n "__fish_ciba_using_subcommand exec" -l refresh-file -d 'Keep a file with a valid token as long as the program runs; CIBA_TOKEN_FILE names it'
complete -c ciba -n "__fish_ciba_using_subcommand exec" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand curl" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand curl" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand curlrc" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand curlrc" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand netrc" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand netrc" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand forward" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand forward" -l resource -d 'Resource whose tokens are passed on, the first one also when none is named; may be given again' -r
complete -c ciba -n "__fish_ciba_using_subcommand forward" -l socket -d 'Where to listen [default: beside the socket of cibad]' -r -F
complete -c ciba -n "__fish_ciba_using_subcommand forward" -l for -d 'Time after which to end: 60, 60s, 5m, 1h' -r
complete -c ciba -n "__fish_ciba_using_subcommand forward" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand git; and not __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand git; and not __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand git; and not __fish_seen_subcommand_from setup" -f -a "setup" -d 'Let git get the tokens of a host, or of every host that a rule names, from ciba'
complete -c ciba -n "__fish_ciba_using_subcommand git; and __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand git; and __fish_seen_subcommand_from setup" -l print -d 'Print the commands that would be run, and change nothing'
complete -c ciba -n "__fish_ciba_using_subcommand git; and __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand docker; and not __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand docker; and not __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand docker; and not __fish_seen_subcommand_from setup" -f -a "setup" -d 'Let docker get the tokens of a registry from ciba'
complete -c ciba -n "__fish_ciba_using_subcommand docker; and __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand docker; and __fish_seen_subcommand_from setup" -l print -d 'Print what would stand in docker\'s configuration, and change nothing'
complete -c ciba -n "__fish_ciba_using_subcommand docker; and __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand kube; and not __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand kube; and not __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
complete -c ciba -n "__fish_ciba_using_subcommand kube; and not __fish_seen_subcommand_from setup" -f -a "setup" -d 'Let kubectl get a user\'s tokens from ciba'
complete -c ciba -n "__fish_ciba_using_subcommand kube; and __fish_seen_subcommand_from setup" -l profile -d 'Login to use, where there are several [env: CIBA_PROFILE]' -r
complete -c ciba -n "__fish_ciba_using_subcommand kube; and __fish_seen_subcommand_from setup" -l print -d 'Print what would stand in the kubeconfig, and change nothing'
complete -c ciba -n "__fish_ciba_using_subcommand kube; and __fish_seen_subcommand_from setup" -s h -l help -d 'Print help'
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
