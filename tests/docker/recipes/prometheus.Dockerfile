FROM claw-stand-in/busybox
ADD packages.tar /
RUN mkdir -p /etc/prometheus /prometheus \
    && chown -R nobody:nobody /etc/prometheus /prometheus \
    && chmod g+w /prometheus
WORKDIR /prometheus
USER nobody
EXPOSE 9090
VOLUME ["/prometheus"]
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
