# No USER: the image runs as root unless told.
FROM claw-stand-in/busybox
ADD packages.tar /
RUN ln -s prometheus-blackbox-exporter /usr/bin/blackbox_exporter
EXPOSE 9115
ENTRYPOINT ["/bin/blackbox_exporter"]
CMD ["--config.file=/etc/blackbox_exporter/config.yml"]
