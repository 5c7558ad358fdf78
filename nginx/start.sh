#!/bin/sh
# nginx reads no variables: what .env.prod says about the door becomes a file, then nginx starts.
set -eu

door=${CLAW_NGINX_DOOR:-https}
port=${CLAW_NGINX_TLS_PORT:-443}
proxies=${CLAW_NGINX_TRUSTED_PROXIES:-}

case $door in
    http | https) ;;
    *) echo "CLAW_NGINX_DOOR is '$door': write http or https" >&2; exit 2 ;;
esac
case $port in
    '' | *[!0-9]*) echo "CLAW_NGINX_TLS_PORT is '$port': write a number, such as 443" >&2; exit 2 ;;
esac
case $proxies in
    *[!0-9a-fA-F.:/,\ ]*)
        echo "CLAW_NGINX_TRUSTED_PROXIES is '$proxies': write networks, such as 10.0.0.0/8,192.0.2.7" >&2; exit 2 ;;
esac

{
    echo 'geo $realip_remote_addr $from_trusted_proxy {'
    echo '    default 0;'
    for network in $(echo "$proxies" | tr , ' '); do
        echo "    $network 1;"
    done
    echo '}'
    for network in $(echo "$proxies" | tr , ' '); do
        echo "set_real_ip_from $network;"
    done
    # The port of TLS as the client must write it.
    [ "$port" = 443 ] && shown='' || shown=":$port"
    echo "map '' \$tls_port { default '$shown'; }"
    echo "include doors/$door.conf;"
} > /tmp/settings.conf

exec nginx -p /etc/nginx -g 'daemon off;'
