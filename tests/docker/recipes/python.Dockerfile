FROM claw-stand-in/busybox
ADD packages.tar /
COPY etc/ /etc/
# The interpreter under the name and with the pip of the image; what it installs belongs to nobody's package manager.
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \
    && mkdir -p /usr/local/bin /root \
    && ln -s /usr/bin/python3.13 /usr/local/bin/python3 \
    && ln -s python3 /usr/local/bin/python \
    && wheel=$(echo /usr/share/python-wheels/pip-*.whl) \
    && python "$wheel/pip" install --quiet --root-user-action ignore \
      --no-index --find-links /usr/share/python-wheels pip
ENV LANG=C.UTF-8
CMD ["python3"]
