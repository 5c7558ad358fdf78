# Nothing but the program.
FROM claw-stand-in/libc
ADD packages.tar /
USER 59000:59000
EXPOSE 9121
ENTRYPOINT ["/usr/bin/prometheus-redis-exporter"]
