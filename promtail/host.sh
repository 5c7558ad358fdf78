# Starts a log shipper on a further machine (docker-compose.host.yml), whose command is given: over the very same
# promtail-config.yml, with this machine's name for `main` and the main machine's public door in place of Loki.
# Neither shipper can fill in variables without stumbling over the $ of the regular expressions.
set -euo pipefail

loki='  - url: http://loki:3100/loki/api/v1/push'
main='      host: main'
password=/run/secrets/host_push_password
ca=/run/secrets/host_door_ca

fail() {
  echo "$1" >&2
  exit 2
}

[[ $CLAW_HOST_NAME =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$ && $CLAW_HOST_NAME != main ]] ||
  fail "CLAW_HOST_NAME is '$CLAW_HOST_NAME': not lower case letters, digits, dots and hyphens, or the main machine's; example web-2"
# The exporters ask for no password: on every address, they would answer the internet.
[[ $CLAW_HOST_ADDRESS != 0.0.0.0 && $CLAW_HOST_ADDRESS != "::" && $CLAW_HOST_ADDRESS != "[::]" ]] ||
  fail "CLAW_HOST_ADDRESS is '$CLAW_HOST_ADDRESS', which is every address of this machine: write its private one; example 10.8.0.2"
[[ $CLAW_HOST_DOOR_URL =~ ^https://[A-Za-z0-9.:-]+$ ]] ||
  fail "CLAW_HOST_DOOR_URL is '$CLAW_HOST_DOOR_URL': not https:// and a name, without a path; example https://monitoring.example.com"
[[ -s $password ]] ||
  fail "secrets/host_push_password is empty: the door lets nobody deliver logs without a password"

text=$(<"/etc/promtail/promtail-config.yml")
[[ $text == *"$loki"* && $text == *"$main"* ]] ||
  fail "promtail-config.yml no longer has the lines '$loki' and '$main'"

door="  - url: $CLAW_HOST_DOOR_URL/loki/api/v1/push
    basic_auth: {username: '$CLAW_HOST_NAME', password_file: $password}"
# Empty is /dev/null: the certificate is one that the world knows.
if [[ -s $ca ]]; then
  door+="
    tls_config: {ca_file: $ca}"
fi
text=${text/"$loki"/"$door"}
text=${text/"$main"/"      host: '$CLAW_HOST_NAME'"}
printf '%s\n' "$text" > "/tmp/promtail-config.yml"
exec "$@"
