FROM claw-stand-in/busybox
ADD packages.tar /
RUN ln -s prometheus-postgres-exporter /usr/bin/postgres_exporter
USER nobody
EXPOSE 9187
ENTRYPOINT ["/bin/postgres_exporter"]
