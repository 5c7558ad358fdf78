FROM claw-stand-in/busybox
ADD packages.tar /
RUN ln -s prometheus-alertmanager /usr/bin/alertmanager \
    && mkdir -p /etc/alertmanager /alertmanager \
    && chown -R nobody:nobody /etc/alertmanager /alertmanager
WORKDIR /alertmanager
USER nobody
EXPOSE 9093
VOLUME ["/alertmanager"]
ENTRYPOINT ["/bin/alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]
