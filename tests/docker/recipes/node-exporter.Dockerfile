FROM claw-stand-in/busybox
ADD packages.tar /
RUN ln -s prometheus-node-exporter /usr/bin/node_exporter
USER nobody
EXPOSE 9100
ENTRYPOINT ["/bin/node_exporter"]
