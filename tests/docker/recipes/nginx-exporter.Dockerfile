# Nothing but the program.
FROM claw-stand-in/libc
ADD packages.tar /
USER 1001:1001
EXPOSE 9113
ENTRYPOINT ["/usr/bin/prometheus-nginx-exporter"]
